"""Closed, full and abandoned output streams: the command still does its work, and reports that it could not print."""

import os
import select
from pathlib import Path

import pytest

from support.launcher_services import Done, Stigmer, eventually, finished


def shell(launcher: Stigmer, script: str) -> Done:
    """Run a shell command line in which `stigmer` is the launcher."""
    return finished(launcher.spawn("/bin/bash", "-c", f'stigmer() {{ {" ".join(launcher.program)} "$@"; }}\n{script}'))


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing_of_start_and_stop(launcher: Stigmer, closed: str) -> None:
    """Nor of the services: a lock or log that got the number of a closed stream would be lost."""
    started = shell(launcher, f"stigmer server {closed}")
    assert (started.code, started.err) == (0, "")
    assert launcher("server", "status").code == 0
    stopped = shell(launcher, f"stigmer server stop {closed}")
    assert (stopped.code, stopped.err) == (0, "")
    assert launcher("server", "status").code == 3


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["--version", "--help", "server status"])
def test_a_closed_stream_changes_no_exit_code(launcher: Stigmer, words: str, closed: str) -> None:
    done = shell(launcher, f"stigmer {words} {closed}")
    assert (done.code, done.err) == (3 if "status" in words else 0, "")


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [
        "--version",
        "-V",
        "--help",
        "server stop",
        "server logs",
        "server logs -f",
        "config path",
        "completion bash",
        "doctor",
    ],
)
def test_output_that_cannot_be_written_is_an_error_with_its_reason(
    launcher: Stigmer, words: str, unbuffered: str
) -> None:
    launcher.environment["PYTHONUNBUFFERED"] = unbuffered
    (launcher.home / "logs").mkdir(parents=True)
    (launcher.home / "logs" / "a.log").write_text("line\n")
    done = shell(launcher, f"stigmer {words} >/dev/full")
    assert done.code == 1
    assert done.err.startswith("Error: cannot write to standard output: No space left on device\n")
    assert done.err.count("\n") == 2


def test_a_pipe_that_another_program_made_non_blocking_loses_nothing(launcher: Stigmer) -> None:
    """Its reader is slower than a command with much output."""
    lines = "".join(f"2026-11-22T18:01:02.345Z line {number:060}\n" for number in range(5000))
    (launcher.home / "logs").mkdir(parents=True)
    (launcher.home / "logs" / "a.log").write_text(lines)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = launcher.popen("server", "logs", "-t", "--lines", "all", stdout=writer)
    eventually(lambda: not select.select([], [writer], [], 0)[1] or process.poll() is not None, "a full pipe")
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as stream:
        assert stream.read() == lines
    assert finished(process).code == 0


@needs_full
@pytest.mark.parametrize(("words", "code"), [("--bogus", 2), ("smoke", 3)])
def test_a_failed_command_keeps_its_exit_code_when_stderr_is_full(launcher: Stigmer, words: str, code: int) -> None:
    assert shell(launcher, f"stigmer {words} 2>/dev/full").code == code


def test_a_restart_without_a_reader_stops_and_starts(running: Stigmer) -> None:
    """Regression: writing the first line, about the stop, failed, and the start never happened."""
    old = running.status()["supervisor_pid"]
    assert shell(running, "set -o pipefail; stigmer server restart | true").code == 0
    assert running.status()["state"] == "running"
    assert running.status()["supervisor_pid"] != old


@pytest.mark.parametrize("term", ["dumb", "xterm"])
@pytest.mark.parametrize("words", ["--version", "--help", "config list", "server logs", "server stop"])
def test_a_terminal_that_has_gone_is_not_a_failure(launcher: Stigmer, words: str, term: str) -> None:
    """Neither is a pipe without a reader. Regression: on a terminal without live lines it was a failure."""
    launcher.environment["TERM"] = term
    (launcher.home / "logs").mkdir(parents=True)
    (launcher.home / "logs" / "a.log").write_text("line\n")
    controller, terminal = os.openpty()
    os.close(controller)
    process = launcher.popen(*words.split(), stdout=terminal)
    os.close(terminal)
    done = finished(process)
    assert (done.code, done.err) == (0, "")
