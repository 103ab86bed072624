"""The single file: it unpacks itself once, whatever happens meanwhile, and hands over."""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lief
import pytest

from stigmer_packaging.binaries import codesign
from support.mounts import mount_command, needs_mounts
from support.native_code import flip
from support.single_files import begin, install, make_single_file, single_file, start, trees

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the single file's own tests run on Linux")


@pytest.fixture(name="program")
def _program(tmp_path: Path) -> Path:
    return install(tmp_path / "a folder")


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    return tmp_path / "the home"


def test_the_first_start_unpacks_everything_and_hands_over(program: Path, home: Path) -> None:
    done = start(program, home, "server", "--foreground", "a b")
    assert (done.returncode, done.stdout) == (0, "launcher 2.0.0: server --foreground a b\n")
    assert done.stderr == "Unpacking stigmer 2.0.0... ok\n"
    (tree,) = trees(home)
    root = home / "dist" / tree
    assert re.fullmatch(r"2\.0\.0-[0-9a-f]{12}-[0-9a-f]{8}", tree)
    assert (root / "libexec/components/big").stat().st_size == 20_000_000
    assert (root / "libexec/components/lib/empty").read_bytes() == b""
    assert os.access(root / "bin/stigmer", os.X_OK)
    assert not (root / "INSTALL_RECEIPT.json").exists()
    assert list(root.glob("homebrew.*")) == []
    assert home.stat().st_mode & 0o777 == 0o700


def test_later_starts_unpack_nothing(program: Path, home: Path) -> None:
    start(program, home)
    seen = [path.stat().st_ino for path in sorted((home / "dist").rglob("*"))]
    done = start(program, home, "status")
    assert (done.stdout, done.stderr) == ("launcher 2.0.0: status\n", "")
    assert [path.stat().st_ino for path in sorted((home / "dist").rglob("*"))] == seen


@pytest.mark.parametrize(
    ("words", "answer"), [("--version", "stigmer 2.0.0\n"), ("completion zsh", "completions for zsh")]
)
def test_the_version_and_what_a_file_of_the_keg_answers_are_told_without_a_home(
    program: Path, home: Path, words: str, answer: str
) -> None:
    done = start(program, home, *words.split())
    assert (done.stdout, done.stderr) == (answer, "")
    assert not home.exists()


def test_a_home_is_found_as_the_launcher_finds_it(program: Path, tmp_path: Path) -> None:
    start(program, Path("~/elsewhere"), HOME=str(tmp_path))
    assert trees(tmp_path / "elsewhere")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([program], env=env, check=True, capture_output=True)
    assert trees(tmp_path / ".stigmer")


def test_of_twenty_first_starts_at_once_one_unpacks_and_all_succeed(program: Path, home: Path) -> None:
    running = [begin(program, home, str(number)) for number in range(20)]
    said = [process.communicate(timeout=100) for process in running]
    assert [out for out, _ in said] == [f"launcher 2.0.0: {number}\n" for number in range(20)]
    assert sum(err.count("Unpacking") for _, err in said) == 1
    assert len(trees(home)) == 1


KILLS = ("dist", "dist/.making", "dist/.making/libexec/components/big", "dist/.making/bin/stigmer")


@pytest.mark.parametrize("sign", KILLS)
def test_a_start_that_is_killed_leaves_what_the_next_one_makes_right(program: Path, home: Path, sign: str) -> None:
    process = begin(program, home)
    while process.poll() is None and not os.path.lexists(home / sign):
        pass
    process.kill()
    process.communicate()
    assert start(program, home, "again").stdout == "launcher 2.0.0: again\n"
    assert len(trees(home)) == 1


def test_an_interrupted_start_leaves_nothing(program: Path, home: Path) -> None:
    process = begin(program, home)
    while process.poll() is None and not (home / "dist/.making").exists():
        pass
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode in {130, 0}  # 0: it had already finished
    assert process.returncode == 0 or "was interrupted" in said
    assert not (home / "dist/.making").exists()


def test_a_tree_that_was_written_to_is_unpacked_anew(program: Path, home: Path) -> None:
    start(program, home)
    (big,) = (home / "dist").glob("*/libexec/components/big")
    with big.open("r+b") as stream:
        stream.write(b"damaged")
    done = start(program, home, "status")
    assert (done.stdout, done.stderr) == ("launcher 2.0.0: status\n", "Unpacking stigmer 2.0.0... ok\n")
    assert not big.read_bytes().startswith(b"damaged")
    assert len(trees(home)) == 1


@pytest.mark.parametrize("lost", ["libexec/launcher/stigmer", "bin/stigmer", "libexec/components/lib/empty"])
def test_a_tree_that_lacks_something_is_unpacked_anew(program: Path, home: Path, lost: str) -> None:
    start(program, home)
    (path,) = (home / "dist").glob(f"*/{lost}")
    path.unlink()
    assert start(program, home, "status").stdout == "launcher 2.0.0: status\n"
    assert os.path.lexists(path)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "its last byte": lambda content: content[:-1],
    "its trailer": lambda content: content[:-64],
    "much of it": lambda content: content[:-5_000_000],
    "a bit": lambda content: flip(content, -9_000_000),
}


@pytest.mark.parametrize("lost", DAMAGES)
def test_a_file_that_was_not_downloaded_whole_says_so_and_leaves_nothing(tmp_path: Path, home: Path, lost: str) -> None:
    done = start(install(tmp_path, content=DAMAGES[lost](single_file())), home)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: this file is not whole")
    assert "Hint: download it again" in done.stderr
    assert trees(home) == []


def test_a_tree_nobody_uses_goes_when_another_version_comes(program: Path, home: Path, tmp_path: Path) -> None:
    start(program, home)
    (home / "dist" / "of the user").mkdir()
    newer = install(tmp_path, "2.0.1")
    assert start(newer, home, "status").stdout == "launcher 2.0.1: status\n"
    assert [name[:5] for name in trees(home)] == ["2.0.1", "of th"]


def test_a_tree_somebody_runs_from_stays_until_the_next_start(program: Path, home: Path, tmp_path: Path) -> None:
    with begin(program, home, "wait") as held:
        assert held.stdout
        assert held.stdin
        assert held.stdout.readline() == "waiting\n"
        newer = install(tmp_path, "2.0.1")
        start(newer, home)
        assert [name[:5] for name in trees(home)] == ["2.0.0", "2.0.1"]
        held.stdin.close()
    start(newer, home)
    assert [name[:5] for name in trees(home)] == ["2.0.1"]


def test_the_tree_of_a_running_server_stays(program: Path, home: Path, tmp_path: Path) -> None:
    start(program, home)
    (home / "run" / "state.json").write_text(f'{{"installed": "{trees(home)[0][:-9]}"}}', encoding="utf-8")
    with (home / "run" / "supervisor.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        start(install(tmp_path, "2.0.1"), home)
    assert [name[:5] for name in trees(home)] == ["2.0.0", "2.0.1"]


@needs_mounts
@pytest.mark.parametrize(
    ("options", "then", "said"),
    [
        ("size=10m", "", r"disk/dist has \d+ MB free, and Stigmer needs 21 MB"),
        ("size=40m,nr_inodes=9", "", "there is no space left in .*disk/dist"),
        ("size=40m,noexec", "", "disk/dist is on a file system mounted noexec"),
        ("size=40m", 'mount -o remount,ro "$0"', "disk.* is on a read-only file system"),
    ],
)
def test_a_home_that_cannot_hold_it_is_refused_with_its_name_and_a_remedy(
    program: Path, tmp_path: Path, options: str, then: str, said: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = start(program, disk, prefix=mount_command(options, disk, then=then))
    assert done.returncode == 1
    assert re.search(said, done.stderr)
    assert "Hint: " in done.stderr
    assert "STIGMER_HOME" in done.stderr


def test_something_in_the_way_of_the_home_is_named(program: Path, home: Path) -> None:
    home.write_text("mine", encoding="utf-8")
    done = start(program, home)
    assert done.returncode == 1
    assert f"{home} is in the way: it is not a directory" in done.stderr


def test_two_single_files_of_equal_kegs_are_identical(tmp_path: Path) -> None:
    first, second = (make_single_file(tmp_path / name, big=100)[1] for name in ("one", "another"))
    assert first == second


def test_a_single_file_for_a_mac_is_signed_with_all_it_carries(tmp_path: Path) -> None:
    """Inside the signed part: what is appended to a Mach-O breaks its signature. It has not been run on a Mac."""
    workspace, made = make_single_file(tmp_path, target="darwin-arm64", big=200_000)
    content = workspace.path(made.path).read_bytes()
    parsed = lief.MachO.parse(list(content))
    thin = parsed and parsed.at(0)
    signature = thin and thin.code_signature
    assert signature
    assert codesign.find_flaws(memoryview(content), signature.data_offset, signature.data_size) == ()
    assert 0 < content.rindex(b"stigmer-program1") < signature.data_offset
    spoilt = flip(content, content.rindex(b"stigmer-program1") - 1000)
    assert codesign.find_flaws(memoryview(spoilt), signature.data_offset, signature.data_size)
