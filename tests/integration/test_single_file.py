"""The single file unpacks itself once, also after kills and beside other starts, and executes the launcher."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import PIPE

import lief
import pytest

from stigmer_packaging.binaries import codesign
from support.mounts import mount_command, needs_mounts
from support.native_code import flip
from support.single_files import ROOT, begin, environment, install, make_single_file, single_file, start, trees
from support.users import NOBODY, UNPRIVILEGED, needs_unprivileged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the single file is tested only on Linux")


@pytest.fixture(name="program")
def _program(tmp_path: Path) -> Path:
    return install(tmp_path / "a folder")


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    return tmp_path / "the home"


def test_the_first_start_unpacks_everything_and_executes_the_launcher(program: Path, home: Path) -> None:
    done = start(program, home, "server", "--foreground", "a b")
    assert (done.returncode, done.stdout) == (0, "launcher 2.0.0: server --foreground a b\n")
    assert done.stderr == "Unpacking stigmer 2.0.0... ok\n"
    (tree,) = trees(home)
    root = home / "dist" / tree
    assert re.fullmatch(r"2\.0\.0-[0-9a-f]{12}-[0-9a-f]{8}", tree)
    assert (root / "libexec/components/big").stat().st_size == 20_000_000
    assert (root / "libexec/components/lib/empty").read_bytes() == b""
    assert os.access(root / "bin/stigmer", os.X_OK)
    assert sorted(path.name for path in root.iterdir()) == [".manifest", "bin", "libexec", "share"]
    assert home.stat().st_mode & 0o777 == 0o700
    notices = (root / "share/doc/stigmer/UNPACKER_NOTICES").read_text(encoding="utf-8")
    assert re.search(r"github.com/klauspost/compress v\S+ \(MIT\) \[1\]", notices)
    assert "text of github.com/klauspost/compress" in notices


def test_later_starts_unpack_nothing(program: Path, home: Path) -> None:
    start(program, home)
    seen = [path.stat().st_ino for path in sorted((home / "dist").rglob("*"))]
    done = start(program, home, "status")
    assert (done.stdout, done.stderr) == ("launcher 2.0.0: status\n", "")
    assert [path.stat().st_ino for path in sorted((home / "dist").rglob("*"))] == seen


@pytest.mark.parametrize(
    ("words", "answer"), [("--version", "stigmer 2.0.0\n"), ("completion zsh", "completions for zsh")]
)
def test_the_version_and_the_completions_are_printed_without_a_home(
    program: Path, home: Path, words: str, answer: str
) -> None:
    done = start(program, home, *words.split())
    assert (done.stdout, done.stderr) == (answer, "")
    assert not home.exists()


@pytest.mark.parametrize("words", ["--version", "completion zsh"])
def test_an_answer_that_cannot_be_written_is_a_failure(program: Path, home: Path, words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [program, *words.split()], check=False, env=environment(home), stdout=full, stderr=PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: cannot write to standard output: no space left on device\n"
        "Hint: free some space, or write to another file\n"
    )


def test_an_answer_whose_reader_has_gone_is_no_failure(program: Path, home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [program, "completion", "zsh"], check=False, env=environment(home), stdout=writer, stderr=PIPE
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_home_is_found_as_the_launcher_finds_it(program: Path, tmp_path: Path) -> None:
    start(program, Path("~/elsewhere"), HOME=str(tmp_path))
    assert trees(tmp_path / "elsewhere")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run([program], env=env, check=True, capture_output=True)
    assert trees(tmp_path / ".stigmer")


def test_of_twenty_first_starts_at_once_one_unpacks_and_all_succeed(program: Path, home: Path) -> None:
    running = [begin(program, home, str(number)) for number in range(20)]
    outputs = [process.communicate(timeout=100) for process in running]
    assert [out for out, _ in outputs] == [f"launcher 2.0.0: {number}\n" for number in range(20)]
    assert sum(err.count("Unpacking") for _, err in outputs) == 1
    assert len(trees(home)) == 1


KILLS = ("dist", "dist/.making", "dist/.making/libexec/components/big", "dist/.making/bin/stigmer")


@pytest.mark.parametrize("sign", KILLS)
def test_the_start_after_a_killed_one_succeeds(program: Path, home: Path, sign: str) -> None:
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
    _, errors = process.communicate(timeout=60)
    assert process.returncode in {130, 0}  # 0: it had already finished
    assert process.returncode == 0 or "was interrupted" in errors
    assert not (home / "dist/.making").exists()


def test_a_tree_with_a_modified_file_is_unpacked_again(program: Path, home: Path) -> None:
    start(program, home)
    (big,) = (home / "dist").glob("*/libexec/components/big")
    with big.open("r+b") as stream:
        stream.write(b"damaged")
    done = start(program, home, "status")
    assert (done.stdout, done.stderr) == ("launcher 2.0.0: status\n", "Unpacking stigmer 2.0.0... ok\n")
    assert not big.read_bytes().startswith(b"damaged")
    assert len(trees(home)) == 1


@pytest.mark.parametrize(
    "lost", ["libexec/launcher/stigmer", "bin/stigmer", "libexec/components/lib/empty", ".manifest"]
)
def test_a_tree_with_a_missing_file_is_unpacked_again(program: Path, home: Path, lost: str) -> None:
    start(program, home)
    (path,) = (home / "dist").glob(f"*/{lost}")
    path.unlink()
    assert start(program, home, "status").stdout == "launcher 2.0.0: status\n"
    assert os.path.lexists(path)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "the last byte": lambda content: content[:-1],
    "the trailer": lambda content: content[:-64],
    "five megabytes": lambda content: content[:-5_000_000],
    "a bit": lambda content: flip(content, -9_000_000),
}


@pytest.mark.parametrize("lost", DAMAGES)
def test_an_incomplete_download_is_named_and_leaves_nothing(tmp_path: Path, home: Path, lost: str) -> None:
    done = start(install(tmp_path, content=DAMAGES[lost](single_file())), home)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: this file is incomplete or damaged")
    assert "Hint: download it again" in done.stderr
    assert trees(home) == []


def test_an_unused_tree_is_removed_by_another_version(program: Path, home: Path, tmp_path: Path) -> None:
    start(program, home)
    (home / "dist" / "of the user").mkdir()
    newer = install(tmp_path, "2.0.1")
    assert start(newer, home, "status").stdout == "launcher 2.0.1: status\n"
    assert [name[:5] for name in trees(home)] == ["2.0.1", "of th"]


def test_a_tree_in_use_is_kept_until_it_is_not(program: Path, home: Path, tmp_path: Path) -> None:
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


def test_the_tree_of_a_running_server_is_kept(program: Path, home: Path, tmp_path: Path) -> None:
    start(program, home)
    (home / "run" / "state.json").write_text(f'{{"installed": "{trees(home)[0][:-9]}"}}', encoding="utf-8")
    with (home / "run" / "supervisor.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        start(install(tmp_path, "2.0.1"), home)
    assert [name[:5] for name in trees(home)] == ["2.0.0", "2.0.1"]


ELSEWHERE = ("unshare", "--pid", "--fork", "--kill-child") if os.geteuid() == 0 else ()
in_another_pid_namespace = pytest.mark.skipif(
    not ELSEWHERE, reason="only root can create a pid namespace without a user namespace"
)


@in_another_pid_namespace
def test_the_tree_of_a_server_in_another_container_is_kept(program: Path, home: Path, tmp_path: Path) -> None:
    """To a process outside of the server's pid namespace, the holder of its lock has pid 0."""
    start(program, home)
    (home / "run" / "state.json").write_text(f'{{"installed": "{trees(home)[0][:-9]}"}}', encoding="utf-8")
    with (home / "run" / "supervisor.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        start(install(tmp_path, "2.0.1"), home, prefix=ELSEWHERE)
    assert [name[:5] for name in trees(home)] == ["2.0.0", "2.0.1"]


@in_another_pid_namespace
def test_a_start_does_not_wait_for_a_process_in_another_container(program: Path, home: Path) -> None:
    (home / "run").mkdir(parents=True)
    with (home / "run" / "install.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        done = start(program, home, prefix=ELSEWHERE)
    assert done.returncode == 1
    assert f"{home}/run/install.lock is locked by a process that cannot be seen from here" in done.stderr


@needs_mounts
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("size=10m", r"disk/dist has \d+ MB free, and Stigmer needs 21 MB"),
        ("size=40m,nr_inodes=9", "there is no space left in .*disk"),
    ],
)
def test_a_home_without_space_is_named_with_a_remedy(program: Path, tmp_path: Path, options: str, problem: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = start(program, disk, prefix=mount_command(options, disk))
    assert done.returncode == 1
    assert re.search(problem, done.stderr)
    assert "Hint: free some space there, or set STIGMER_HOME" in done.stderr


LAUNCHER_CHECKS = """
import os, sys
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.install.preflight import require_exec
from stigmer_launcher.system.places import find_places, prepare_home
try:
    places = find_places(os.environ)
    prepare_home(places.home, places.versions, places.run)
    require_exec(places.versions)
except LauncherError as error:
    sys.exit(f"Error: {error}\\nHint: {error.remedy}")
"""


def _file_in_the_way(home: Path) -> Sequence[str]:
    home.write_text("mine", encoding="utf-8")
    return ()


def _file_in_place_of_a_directory(home: Path) -> Sequence[str]:
    home.mkdir()
    (home / "run").write_text("mine", encoding="utf-8")
    return ()


def _unwritable(home: Path) -> Sequence[str]:
    home.mkdir(mode=0o500)
    return UNPRIVILEGED


def _below_an_unwritable_directory(home: Path) -> Sequence[str]:
    home.parent.chmod(0o500)
    return UNPRIVILEGED


def _of_another_user(home: Path) -> Sequence[str]:
    if os.geteuid():
        pytest.skip("only root can give directories to another user")
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    return ()


def _read_only(home: Path) -> Sequence[str]:
    home.mkdir()
    return mount_command("size=40m", home, then='mount -o remount,ro "$0"')


def _noexec(home: Path) -> Sequence[str]:
    home.mkdir()
    return mount_command("size=40m,noexec", home)


UNUSABLE = (
    _file_in_the_way,
    _file_in_place_of_a_directory,
    _unwritable,
    _below_an_unwritable_directory,
    _of_another_user,
)
MOUNTED = tuple(pytest.param(each, marks=needs_mounts) for each in (_read_only, _noexec))


@needs_unprivileged
@pytest.mark.parametrize("make_unusable", [*UNUSABLE, *MOUNTED])
def test_an_unusable_home_is_refused_in_the_words_of_the_launcher(
    program: Path, tmp_path: Path, make_unusable: Callable[[Path], Sequence[str]]
) -> None:
    home = tmp_path / "the user's" / "home"
    home.parent.mkdir()
    prefix = make_unusable(home)
    command = [*prefix, sys.executable, "-P", "-c", LAUNCHER_CHECKS]
    expected = subprocess.run(
        command,
        env={**environment(home), "PYTHONPATH": str(ROOT / "launcher")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    done = start(program, home, prefix=prefix)
    assert expected.returncode == done.returncode == 1
    assert done.stderr == expected.stderr.replace(f"{home}/versions", f"{home}/dist")
    home.parent.chmod(0o700)
    assert list(tmp_path.rglob("dist/*")) == []


def test_a_directory_in_place_of_the_lock_is_named(program: Path, home: Path) -> None:
    lock = home / "run" / "install.lock"
    lock.mkdir(parents=True)
    done = start(program, home)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: {lock} is in the way: it is a directory\n"
        "Hint: move it away, or set STIGMER_HOME to a directory on another disk\n"
    )


def test_a_home_that_is_not_utf_8_is_refused_before_anything_is_created(program: Path, tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    done = start(program, parent / os.fsdecode(b"caf\xe9"))
    assert done.returncode == 1
    assert "the path of the home is not UTF-8 text: " in done.stderr
    assert r"caf\xe9" in done.stderr
    assert list(parent.iterdir()) == []


@pytest.fixture(name="without_permissions")
def _without_permissions(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that shows every file with mode 0777."""
    if not shutil.which("bindfs"):
        pytest.skip("bindfs is not installed")
    behind, home = tmp_path / "behind", tmp_path / "mounted"
    behind.mkdir()
    home.mkdir()
    with subprocess.Popen(["bindfs", "-f", "--perms=a=rwx", "--chmod-ignore", behind, home]) as server:
        while server.poll() is None and not home.is_mount():
            time.sleep(0.01)
        if server.poll() is not None:
            pytest.skip("this machine cannot mount FUSE file systems")
        yield home
        server.terminate()


def test_a_file_system_that_keeps_no_permissions_is_unpacked_to_once(program: Path, without_permissions: Path) -> None:
    """Regression: each command unpacked everything again, and removed the tree of the running server."""
    assert "Unpacking" in start(program, without_permissions).stderr
    assert start(program, without_permissions).stderr == ""


def test_without_a_loader_for_the_launcher_the_error_names_glibc(tmp_path: Path, home: Path) -> None:
    """Executing a file whose loader is missing fails with the error for a missing file."""
    program = install(tmp_path, "2.0.0", single_file(launcher="#!/lib64/no-such-loader\n"))
    done = start(program, home)
    assert done.returncode == 1
    assert "this system has no loader for" in done.stderr
    assert "glibc" in done.stderr


def test_two_single_files_of_equal_kegs_are_identical(tmp_path: Path) -> None:
    first, second = (make_single_file(tmp_path / name, big=100)[1] for name in ("one", "another"))
    assert first == second


def test_a_single_file_for_a_mac_is_signed_with_all_it_carries(tmp_path: Path) -> None:
    """Inside the signed part: what is appended to a Mach-O breaks its signature. It has not been run on a Mac."""
    workspace, program = make_single_file(tmp_path, target="darwin-arm64", big=200_000)
    content = workspace.path(program.path).read_bytes()
    parsed = lief.MachO.parse(list(content))
    thin = parsed and parsed.at(0)
    signature = thin and thin.code_signature
    assert signature
    assert codesign.find_flaws(memoryview(content), signature.data_offset, signature.data_size) == ()
    assert 0 < content.rindex(b"stigmer-program1") < signature.data_offset
    spoilt = flip(content, content.rindex(b"stigmer-program1") - 1000)
    assert codesign.find_flaws(memoryview(spoilt), signature.data_offset, signature.data_size)
