"""Closed, full and abandoned output streams: the command still does its work, and says what it could not print."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.launcher_checks import serves_and_stops
from support.launcher_services import Done, Stigmer, eventually, is_running, stigmer

PROGRAM = (sys.executable, "-S", "-m", "stigmer_launcher")


def shell(launcher: Stigmer, script: str, seconds: float = 60.0) -> Done:
    """Run a shell's line in which `stigmer` is the launcher."""
    prelude = f'stigmer() {{ {" ".join(PROGRAM)} "$@"; }}\n'
    done = subprocess.run(
        ["/bin/bash", "-c", prelude + script],
        env=launcher.environment, cwd="/", capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_nothing_of_start_and_stop(tmp_path: Path, closed: str) -> None:
    """Of the services neither: a lock or log that got the number of a closed stream would be lost."""
    with stigmer(tmp_path) as launcher:
        started = shell(launcher, f"stigmer server {closed}")
        assert (started.code, started.err) == (0, "")
        assert launcher("server", "status").code == 0
        stopped = shell(launcher, f"stigmer server stop {closed}")
        assert (stopped.code, stopped.err) == (0, "")
        assert launcher("server", "status").code == 3


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["--version", "--help", "server status"])
def test_a_closed_stream_changes_no_exit_code(tmp_path: Path, words: str, closed: str) -> None:
    launcher = Stigmer(tmp_path / "keg", tmp_path / "home")
    done = shell(launcher, f"stigmer {words} {closed}")
    assert (done.code, done.err) == (3 if "status" in words else 0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", ["--version", "-V", "--help", "server stop", "config path", "completion bash", "doctor"]
)
def test_output_that_cannot_be_written_is_an_error_with_its_reason(tmp_path: Path, words: str, unbuffered: str) -> None:
    launcher = Stigmer(tmp_path / "keg", tmp_path / "home", environment={"PYTHONUNBUFFERED": unbuffered})
    done = shell(launcher, f"stigmer {words} >/dev/full")
    assert done.code == 1
    assert done.err.startswith("Error: cannot write to standard output: No space left on device\n")
    assert done.err.count("\n") == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_failed_command_keeps_its_exit_code_when_stderr_is_full(tmp_path: Path) -> None:
    launcher = Stigmer(tmp_path / "keg", tmp_path / "home")
    assert (
        shell(launcher, "stigmer --bogus-option-that-fails x 2>/dev/full").code
        == launcher("--bogus-option-that-fails", "x").code
    )
    assert shell(launcher, "stigmer smoke 2>/dev/full").code == launcher("smoke").code


def test_a_restart_without_a_reader_stops_and_starts(tmp_path: Path) -> None:
    """The first line, of the stop, already failed to be written: the start never came."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        old = launcher.status()["supervisor_pid"]
        assert shell(launcher, "set -o pipefail; stigmer server restart | true").code == 0
        assert launcher.status()["state"] == "running"
        assert launcher.status()["supervisor_pid"] != old


def test_a_foreground_server_whose_reader_goes_keeps_serving(tmp_path: Path) -> None:
    """It writes to its log only, restarts what crashes, and stops cleanly."""
    with stigmer(tmp_path) as launcher:
        foreground = launcher.popen("server", "--foreground", stderr=subprocess.DEVNULL)
        assert foreground.stdout is not None
        with foreground.stdout:
            assert foreground.stdout.readline()
        serves_and_stops(launcher, foreground)
        assert launcher.status()["state"] == "stopped"
        assert launcher.services() == []
        assert "Traceback" not in launcher.log("supervisor")


def test_a_closed_terminal_stops_a_foreground_server_cleanly(tmp_path: Path) -> None:
    """The hang-up asks it to stop; that its last lines cannot be printed must not keep it from it."""
    with stigmer(tmp_path) as launcher:
        controller, terminal = os.openpty()
        foreground = launcher.popen(
            "server", "--foreground", stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
        )
        os.close(terminal)
        eventually(lambda: launcher.status()["state"] == "running", "the services to run")
        os.close(controller)
        os.kill(foreground.pid, signal.SIGHUP)
        assert foreground.wait(timeout=30) == 0
        assert launcher.status()["state"] == "stopped"
        assert not is_running(foreground.pid)
        assert launcher.services() == []


def test_a_foreground_server_whose_terminal_goes_without_a_hang_up_keeps_serving(tmp_path: Path) -> None:
    """As after `disown -h`, or when a program that made the terminal crashes: every line that it prints is refused."""
    with stigmer(tmp_path, TERM="xterm") as launcher:
        controller, terminal = os.openpty()
        foreground = launcher.popen("server", "--foreground", stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        eventually(lambda: launcher.status()["state"] == "running", "the services to run")
        os.close(controller)
        agent = launcher.pid("agent-runner")
        os.kill(agent, signal.SIGKILL)
        eventually(lambda: launcher.pid("agent-runner") not in (0, agent), "its restart")
        assert launcher("server", "stop").code == 0
        assert foreground.wait(timeout=30) == 0


@pytest.mark.parametrize("term", ["dumb", "xterm"])
@pytest.mark.parametrize("words", ["--version", "--help", "config list", "server logs", "server stop"])
def test_a_terminal_that_has_gone_is_no_failure_of_a_command(tmp_path: Path, words: str, term: str) -> None:
    """As a reader that has gone is none; a terminal without live lines once made it one."""
    launcher = Stigmer(tmp_path / "keg", tmp_path / "home", environment={"TERM": term})
    (tmp_path / "home" / "logs").mkdir(parents=True)
    (tmp_path / "home" / "logs" / "a.log").write_text("line\n")
    controller, terminal = os.openpty()
    os.close(controller)
    process = launcher.popen(*words.split(), stdout=terminal, stderr=subprocess.PIPE)
    os.close(terminal)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
