"""`stigmer server stop` returns once the supervisor's process is gone, not just its lock."""

import sys

import pytest

from support.launcher_checks import shown_on_terminal
from support.launcher_services import Stigmer, is_running, read_line

# When stopping, it releases its lock some time before it exits, as on an overloaded machine.
LINGERING_SUPERVISOR = """
import signal, sys, time
from stigmer_launcher.system import locks
lock = locks.try_acquire(sys.argv[1])
def stop(*_):
    lock.release()
    time.sleep(float(sys.argv[2]))
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("held", flush=True)
signal.pause()
"""


def test_a_stop_returns_when_the_process_has_ended_and_not_only_released_its_lock(launcher: Stigmer) -> None:
    """A caller that then deletes the home or counts processes must find none."""
    lock = launcher.home / "run" / "supervisor.lock"
    lock.parent.mkdir(parents=True)
    with launcher.spawn(sys.executable, "-S", "-c", LINGERING_SUPERVISOR, str(lock), "0.5") as supervisor:
        assert read_line(supervisor) == "held\n"
        stopped = launcher("server", "stop")
        ended = not is_running(supervisor.pid)
    assert (stopped.code, ended) == (0, True), stopped.err


@pytest.mark.stack(agent_runner="term=ignore", grace=0.5)
def test_a_stop_names_the_service_that_used_its_whole_grace_and_was_killed(running: Stigmer) -> None:
    lines = running("server", "stop").out.splitlines()
    assert lines == ["agent-runner did not stop within 0.5 s and was killed", "Stopping server... ok"]
    assert "agent-runner did not stop within 0.5 s; it is killed" in running.log("supervisor")


@pytest.mark.stack(workflow_runner="term=ignore", grace=1)
def test_a_stop_on_a_terminal_names_the_service_it_waits_for(running: Stigmer) -> None:
    running.environment["TERM"] = "xterm"
    assert b"\r\x1b[KStopping workflow-runner..." in shown_on_terminal(running, "server", "stop")
