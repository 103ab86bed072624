"""What a guest is asked to run: the script, with words that name the product, in a sandbox that shuts it in.

What a guest may do in a sandbox is tried in end_to_end.
"""

from pathlib import Path

import pytest

from stigmer_packaging.lib.emulation import NATIVE, Runner
from stigmer_packaging.verify import sandbox
from stigmer_packaging.verify.guest import GuestRun, Task, Trial
from stigmer_packaging.verify.guest_root import GuestRoot
from stigmer_packaging.verify.sandbox import sandbox_command

ROOT, HOME = Path("/cache/root"), Path("/space/home")
TASK = Task(Path("scripts/verify-install"), "4f2a")


@pytest.mark.parametrize("privileged", [True, False])
def test_only_the_home_is_writable_and_the_environment_is_the_guests(privileged: bool) -> None:  # noqa: FBT001 - a parameter of the test
    words = sandbox_command(ROOT, HOME, ["true"], privileged=privileged)
    binds = [words[index : index + 3] for index, word in enumerate(words) if word.endswith("bind")]
    assert binds == [["--ro-bind", "/cache/root", "/"], ["--bind", "/space/home", "/home"]]
    assert {"--clearenv", "--die-with-parent", "--new-session"} <= set(words)
    assert (words[0], words[-1]) == ("bwrap", "true")


@pytest.mark.parametrize(("runner", "emulated"), [(NATIVE, False), (Runner(("unshare", "sh"), 15), True)])
def test_a_run_says_whether_the_processor_was_emulated(
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


def test_a_bottle_is_tried_under_its_products_name() -> None:
    words = Trial(Path("b.tar.gz"), "greetings", "0.3.0", TASK).words("/verify.sh", "/bottle")
    assert words[words.index("--name") + 1] == "greetings"


def test_a_single_file_is_tried_under_its_products_name_and_in_its_home() -> None:
    """Where it has unpacked itself before the script looks."""
    trial = Trial(Path("greetings"), "greetings", "0.3.0", TASK, unpacks_itself=True)
    words = trial.words("/verify.sh", "/greetings")
    assert words[words.index("--name") + 1] == "greetings"
    assert '"$HOME"/.greetings/dist/*' in words[2]
    assert "stigmer/" not in words[2]
