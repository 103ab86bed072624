"""The sandbox's command line: no network, nothing of the host writable, no privilege inside."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.emulation import NATIVE, Runner
from stigmer_packaging.verify import sandbox
from stigmer_packaging.verify.guest import GuestRun, Task, Trial
from stigmer_packaging.verify.guest_root import GuestRoot
from stigmer_packaging.verify.sandbox import sandbox_command

ROOT, HOME = Path("/cache/root"), Path("/space/home")


def pairs(words: list[str]) -> set[tuple[str, ...]]:
    """Give every three neighbouring words, to look for an option with its two values."""
    return set(zip(words, words[1:], words[2:], strict=False))


@pytest.mark.parametrize("privileged", [True, False])
def test_only_the_home_is_writable_and_the_environment_is_the_guests(privileged: bool) -> None:  # noqa: FBT001 - a parameter of the test
    words = sandbox_command(ROOT, HOME, ["true"], privileged=privileged)
    assert words[0] == "bwrap"
    assert {("--ro-bind", "/cache/root", "/"), ("--bind", "/space/home", "/home")} <= pairs(words)
    assert [words[index + 1] for index, word in enumerate(words) if word.endswith("bind")] == [
        "/cache/root",
        "/space/home",
    ]
    assert {"--clearenv", "--die-with-parent", "--new-session"} <= set(words)
    assert words[-1] == "true"


def test_a_user_gets_every_namespace_and_is_somebody_else_inside() -> None:
    words = sandbox_command(ROOT, HOME, ["true"], privileged=False)
    assert words[1:6] == ["--unshare-all", "--uid", "1000", "--gid", "1000"]
    assert "--cap-add" not in words


def test_root_makes_no_user_namespace_and_gives_up_all_privilege_before_the_command() -> None:
    words = sandbox_command(ROOT, HOME, ["true"], privileged=True)
    assert {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"} <= set(words)
    assert "--unshare-all" not in words
    assert words[words.index("--") + 1 :] == [
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "true",
    ]


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
