"""What a guest runs: the script, with arguments for the product, in an isolated sandbox.

The isolation itself is tested in end_to_end.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_packaging.lib.emulation import NATIVE, Runner
from stigmer_packaging.verify import sandbox
from stigmer_packaging.verify.guest import GuestRun, Task, Trial
from stigmer_packaging.verify.guest_boot import pack_initramfs
from stigmer_packaging.verify.guest_root import USER, GuestRoot, prepare_root
from stigmer_packaging.verify.sandbox import prepare_home, sandbox_command

ROOT, HOME = Path("/cache/root"), Path("/space/home")
TASK = Task(Path("scripts/verify-install"), "4f2a")


@pytest.mark.parametrize("privileged", [True, False])
def test_only_the_home_is_writable_and_the_environment_is_cleared(privileged: bool) -> None:  # noqa: FBT001 - a parameter of the test
    words = sandbox_command(ROOT, HOME, ["true"], privileged=privileged)
    binds = [words[index : index + 3] for index, word in enumerate(words) if word.endswith("bind")]
    assert binds == [["--ro-bind", "/cache/root", "/"], ["--bind", "/space/home", "/home"]]
    assert {"--clearenv", "--die-with-parent", "--new-session"} <= set(words)
    assert (words[0], words[-1]) == ("bwrap", "true")


@pytest.fixture
def umask_077() -> Iterator[None]:
    """Create files that other users cannot read, as root's login shell does on many servers."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def modes_below(folder: Path) -> dict[str, int]:
    return {path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777 for path in folder.rglob("*")}


@pytest.mark.usefixtures("umask_077")
def test_the_home_of_a_guest_is_accessible_under_any_umask(tmp_path: Path) -> None:
    """It belongs to the guest's user, and root inside bubblewrap cannot override modes."""
    for name in ("bottle", "verify-install", "verify-trials"):
        (tmp_path / name).touch()
    (tmp_path / "home").mkdir()
    prepare_home(Trial(tmp_path / "bottle", "one", "1.0.0", Task(tmp_path / "verify-install", "")), tmp_path / "home")
    assert modes_below(tmp_path)["home"] == 0o755
    assert modes_below(tmp_path / "home")[USER] == 0o755


@pytest.mark.usefixtures("umask_077")
def test_the_user_of_a_guest_can_read_the_files_written_into_its_root(tmp_path: Path) -> None:
    """Without a readable /etc/hosts, localhost does not resolve."""
    for name in ("etc", "usr/share/base-passwd"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("passwd", "group"):
        (tmp_path / "usr/share/base-passwd" / f"{name}.master").write_text("root:x:0:\n", encoding="ascii")
    prepare_root(tmp_path)
    assert modes_below(tmp_path / "etc") == dict.fromkeys(("hosts", "passwd", "group"), 0o644)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(shutil.which("cpio") is None, reason="there is no cpio")
@pytest.mark.usefixtures("umask_077")
def test_the_user_of_a_virtual_machine_can_read_its_scripts_and_run_its_programs(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "trial").mkdir(parents=True)
    (tree / "trial" / "script").touch()
    (tree / "init").touch(mode=0o755)
    pack_initramfs(tree, tmp_path / "archive")
    assert modes_below(tree) == {"trial": 0o755, "trial/script": 0o644, "init": 0o755}
    assert (tmp_path / "archive").stat().st_size > 0


@pytest.mark.parametrize(("runner", "emulated"), [(NATIVE, False), (Runner(("unshare", "sh"), 15), True)])
def test_a_run_records_whether_the_processor_was_emulated(
    runner: Runner,
    emulated: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "run_in_sandbox", lambda *_, **__: GuestRun(0, "", ""))
    for name in ("bottle", "verify-install", "verify-trials"):
        (tmp_path / name).touch()
    (tmp_path / "space").mkdir()
    root = GuestRoot(ROOT, "debian trixie", "recipe", "linux-arm64")
    trial = Trial(tmp_path / "bottle", "stigmer", "2.0.0", Task(tmp_path / "verify-install", "nonce"))
    assert sandbox.make_sandbox(root, runner).run(trial, tmp_path / "space").emulated == emulated


def test_a_bottle_is_verified_under_the_name_of_its_product() -> None:
    words = Trial(Path("b.tar.gz"), "greetings", "0.3.0", TASK).command("/verify.sh", "/bottle")
    assert words[words.index("--name") + 1] == "greetings"


def test_a_single_file_is_verified_under_the_name_and_in_the_home_of_its_product() -> None:
    """It unpacks itself there before the script inspects it."""
    trial = Trial(Path("greetings"), "greetings", "0.3.0", TASK, unpacks_itself=True)
    words = trial.command("/verify.sh", "/greetings")
    assert words[words.index("--name") + 1] == "greetings"
    assert '"$HOME"/.greetings/dist/*' in words[2]
    assert "stigmer/" not in words[2]
