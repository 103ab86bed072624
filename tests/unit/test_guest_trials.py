"""What a guest is asked to run, with words that name the product under trial, and what a sandbox says of its run."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.emulation import NATIVE, Runner
from stigmer_packaging.verify import sandbox
from stigmer_packaging.verify.guest import GuestRun, ProgramTrial, Task, Trial
from stigmer_packaging.verify.guest_root import GuestRoot

TASK = Task(Path("scripts/verify-install"), "4f2a")


def test_a_bottle_is_tried_under_its_products_name() -> None:
    words = Trial(Path("b.tar.gz"), "greetings", "0.3.0", TASK).words("/verify.sh", "/prefix")
    assert words[words.index("--name") + 1] == "greetings"
    assert "/prefix/bin/greetings" in words


def test_a_single_file_is_tried_under_its_products_name_and_in_its_home() -> None:
    """Where it has unpacked itself before the script looks."""
    words = ProgramTrial(Path("greetings"), "greetings", "0.3.0", TASK).words("/verify.sh", bottle="/greetings")
    assert words[words.index("--name") + 1] == "greetings"
    assert '"$HOME"/.greetings/dist/*' in words[2]
    assert "stigmer/" not in words[2]


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
    root = GuestRoot(Path("/cache/root"), "debian trixie", "recipe", "linux-arm64")
    trial = Trial(tmp_path / "bottle", "stigmer", "2.0.0", Task(tmp_path / "verify-install", "nonce"))
    assert sandbox.make_sandbox(root, runner).run(trial, tmp_path / "space").emulated == emulated
