"""Programs are started in one place: with a deadline, heard, and never left behind."""

import os
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from support.launcher_services import eventually, is_running

GRANDCHILD = "sleep 600 & echo $!; wait"
ESCAPED = "setsid sh -c 'echo $$; exec sleep 600' &"  # in a session of its own, with our output open


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_DRAIN", 0.05)


def test_output_and_exit_code_are_given_apart() -> None:
    done = command.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_failure_names_the_command_and_its_last_lines() -> None:
    with pytest.raises(CommandError, match=r"sh failed with exit code 3: sh -c .*\n  \| last words"):
        command.run(["sh", "-c", "echo last words; exit 3"])


def test_a_program_that_is_not_here_is_named() -> None:
    with pytest.raises(MissingToolError, match="no-such-program is not on this machine"):
        command.run(["no-such-program"])


def test_a_program_sees_only_the_environment_it_is_given() -> None:
    assert command.run(["/usr/bin/env"], env={"ONLY": "this"}).stdout == "ONLY=this\n"


def test_a_program_that_takes_too_long_is_ended_with_all_it_started() -> None:
    with pytest.raises(CommandError, match="did not end within") as caught:
        command.run(["sh", "-c", GRANDCHILD], seconds=1)
    pid = int(caught.value.output)
    eventually(lambda: not is_running(pid), "the end of the program's own child")


def test_an_observer_hears_every_command_and_what_it_printed() -> None:
    heard: list[str] = []
    with command.observed(heard.append):
        command.run(["sh", "-c", "echo one; echo two >&2"])
    command.run(["true"])
    assert heard[0] == "+ sh -c echo one; echo two >&2"
    assert sorted(heard[1:]) == ["one", "two"], "the streams are read beside each other"


def test_the_deadline_holds_against_a_child_that_left_the_group_and_keeps_the_output_open() -> None:
    with pytest.raises(CommandError, match="did not end within") as caught:
        command.run(["sh", "-c", f"{ESCAPED} sleep 600"], seconds=1)
    pid = int(caught.value.output)
    assert is_running(pid)
    os.kill(pid, 9)


def test_a_program_that_has_ended_is_not_waited_for_because_its_child_keeps_the_output_open() -> None:
    done = command.run(["sh", "-c", ESCAPED], seconds=60)
    pid = int(done.stdout)
    assert is_running(pid)
    os.kill(pid, 9)


def test_an_observer_hears_a_line_while_the_program_runs(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    with command.observed(lambda line: heard.touch() if line == "first" else None):
        command.run(["sh", "-c", f"echo first; until test -e {heard}; do sleep 0.01; done"], seconds=60)
    assert heard.exists()


@pytest.mark.parametrize("reason", [OSError("no space left on device"), SystemExit(1)])
def test_what_an_observer_raises_ends_the_step_and_not_the_program(reason: BaseException, tmp_path: Path) -> None:
    """A log on a full disk, or a terminal that is gone: the program must not be cut short, nor taken for successful."""

    def fail(line: str) -> None:
        if not line.startswith("+"):
            raise reason

    whole = tmp_path / "whole"
    words = ["sh", "-c", f"seq 20000 && echo error >&2 && touch {whole}"]
    with command.observed(fail), pytest.raises(type(reason)) as caught:
        command.run(words, seconds=60)
    assert caught.value is reason
    assert whole.exists()


def test_a_program_that_does_not_read_its_input_holds_nothing_up() -> None:
    assert command.run(["true"], stdin="x" * 1_000_000, seconds=60).code == 0


def test_what_is_given_on_standard_input_is_read() -> None:
    assert command.run(["cat"], stdin="grüße\n").stdout == "grüße\n"
