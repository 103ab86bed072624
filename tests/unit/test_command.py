"""Running programs: with a timeout, with observed output, and without leaving processes behind."""

import errno
import os
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from support.launcher_services import eventually, is_running, raising_oserror

GRANDCHILD = "sleep 600 & echo $!; wait"
ESCAPED = """sh -c 'echo $$; exec perl -MPOSIX -e "setsid; sleep 600"' &"""  # leaves our session, not our output


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_DRAIN", 0.05)


def test_exit_code_output_and_error_output_are_returned_separately() -> None:
    result = command.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")


def test_a_failure_shows_the_command_and_its_last_lines() -> None:
    with pytest.raises(CommandError, match=r"sh failed with exit code 3: sh -c .*\n  \| last words"):
        command.run(["sh", "-c", "echo last words; exit 3"])


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MissingToolError, match="no-such-program is not installed"):
        command.run(["no-such-program"])


def test_a_missing_working_directory_is_not_reported_as_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        command.run(["true"], cwd=tmp_path / "gone")


def test_a_program_sees_only_the_environment_it_is_given() -> None:
    assert command.run(["/usr/bin/env"], env={"ONLY": "this"}).stdout == "ONLY=this\n"


def test_a_program_that_times_out_is_killed_with_its_children() -> None:
    with pytest.raises(CommandError, match="did not end within") as caught:
        command.run(["sh", "-c", GRANDCHILD], seconds=1)
    pid = int(caught.value.output)
    eventually(lambda: not is_running(pid), "the end of the program's own child")


def test_an_observer_receives_every_command_and_its_output() -> None:
    lines: list[str] = []
    with command.observed(lines.append):
        command.run(["sh", "-c", "echo one; echo two >&2"])
    command.run(["true"])
    assert lines[0] == "+ sh -c echo one; echo two >&2"
    assert sorted(lines[1:]) == ["one", "two"], "the order of the two streams is not defined"


def test_the_timeout_applies_although_a_detached_child_keeps_the_output_open() -> None:
    with pytest.raises(CommandError, match="did not end within") as caught:
        command.run(["sh", "-c", f"{ESCAPED} sleep 600"], seconds=1)
    pid = int(caught.value.output)
    assert is_running(pid)
    os.kill(pid, 9)


def test_a_detached_child_with_open_output_does_not_delay_the_end_of_its_program() -> None:
    result = command.run(["sh", "-c", ESCAPED], seconds=60)
    pid = int(result.stdout)
    assert is_running(pid)
    os.kill(pid, 9)


def test_a_program_that_has_ended_unnoticed_is_only_reaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On macOS, killpg(2) answers EPERM for a group of zombies. Source: `killpg1` in xnu's bsd/kern/kern_sig.c."""
    monkeypatch.setattr(os, "killpg", raising_oserror(errno.EPERM))
    with command.running(["true"], env={}, cwd=tmp_path, log=tmp_path / "log"):
        pass


def test_an_observer_receives_a_line_while_the_program_runs(tmp_path: Path) -> None:
    received = tmp_path / "received"
    with command.observed(lambda line: received.touch() if line == "first" else None):
        command.run(["sh", "-c", f"echo first; until test -e {received}; do sleep 0.01; done"], seconds=60)
    assert received.exists()


@pytest.mark.parametrize("reason", [OSError("no space left on device"), SystemExit(1)])
def test_an_exception_of_an_observer_fails_the_step_after_the_program_has_finished(
    reason: BaseException, tmp_path: Path
) -> None:
    """A full disk or a closed terminal must not stop the program halfway, and the step must not count as successful."""

    def fail(line: str) -> None:
        if not line.startswith("+"):
            raise reason

    finished = tmp_path / "finished"
    words = ["sh", "-c", f"seq 20000 && echo error >&2 && touch {finished}"]
    with command.observed(fail), pytest.raises(type(reason)) as caught:
        command.run(words, seconds=60)
    assert caught.value is reason
    assert finished.exists()


def test_a_program_that_does_not_read_its_input_does_not_block() -> None:
    assert command.run(["true"], stdin="x" * 1_000_000, seconds=60).code == 0


def test_text_is_passed_on_standard_input() -> None:
    assert command.run(["cat"], stdin="grüße\n").stdout == "grüße\n"
