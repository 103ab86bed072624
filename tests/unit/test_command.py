"""Programs are started in one place: with a deadline, heard, and never left behind."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from stigmer_packaging.errors import CommandError, MissingToolError
from stigmer_packaging.tools import command

GRANDCHILD = "sleep 600 & echo $!; wait"


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not asked for counts as gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    return False


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
        command.run(["sh", "-c", GRANDCHILD], seconds=2)
    pid = int(caught.value.output)
    for _ in range(500):
        if not is_alive(pid):
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    pytest.fail("the program's own child outlived it")


def test_an_observer_hears_every_command_and_what_it_printed() -> None:
    heard: list[str] = []
    with command.observed(heard.append):
        command.run(["sh", "-c", "echo one; echo two >&2"])
    command.run(["true"])
    assert heard == ["+ sh -c echo one; echo two >&2", "one", "two"]
