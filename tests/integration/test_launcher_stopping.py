"""`stigmer server stop` returns when the supervisor's process is gone, not only its lock."""

import signal
import subprocess
import sys
from pathlib import Path

from support.launcher_checks import shown_on_terminal
from support.launcher_services import LAUNCHER, Stigmer, eventually, fake_stack, is_running, stigmer

# Told to stop, it gives its lock back and is some time in ending, as on a machine that is short of processors.
LINGERING_SUPERVISOR = """
import signal, sys, time
from stigmer_launcher.system import locks
lock = locks.hold(sys.argv[1])
def told(*_):
    lock.release()
    time.sleep(float(sys.argv[2]))
    sys.exit()
signal.signal(signal.SIGTERM, told)
print("held", flush=True)
signal.pause()
"""


def test_stopping_returns_when_the_process_is_gone_and_not_only_its_lock(tmp_path: Path) -> None:
    """Whoever deletes the home, or counts processes, right after it must find nobody there."""
    run = tmp_path / "home" / "run"
    run.mkdir(parents=True)
    command = [sys.executable, "-S", "-c", LINGERING_SUPERVISOR, str(run / "supervisor.lock"), "0.5"]
    environment = {"PYTHONPATH": str(LAUNCHER)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "held\n"
        stopped = Stigmer(tmp_path / "keg", tmp_path / "home")("server", "stop")
        ended = not is_running(supervisor.pid)
    assert (stopped.code, ended) == (0, True), stopped.err


def test_a_stop_names_the_service_that_used_its_whole_grace_and_was_killed(tmp_path: Path) -> None:
    """The others are not mentioned; the supervisor's log has it too."""
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=0.5)) as launcher:
        launcher.started()
        lines = launcher("server", "stop").out.splitlines()
        assert lines == ["agent-runner did not stop within 0.5 s and was killed", "Stopping server... ok"]
        assert "agent-runner did not stop within 0.5 s; it is killed" in launcher.log("supervisor")


def test_a_stop_on_a_terminal_names_the_service_it_waits_for(tmp_path: Path) -> None:
    with stigmer(tmp_path, fake_stack(workflow_runner="term=ignore", grace=1), TERM="xterm") as launcher:
        launcher.started()
        assert b"\r\x1b[KStopping workflow-runner..." in shown_on_terminal(launcher, "server", "stop")


def test_in_the_foreground_the_service_that_is_killed_is_named_too(tmp_path: Path) -> None:
    with stigmer(tmp_path, fake_stack(agent_runner="term=ignore", grace=0.5)) as launcher:
        process = launcher.popen("server", "--foreground")
        assert process.stdout is not None
        eventually(lambda: "All services running" in process.stdout.readline(), "the start")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert out.splitlines() == ["agent-runner did not stop within 0.5 s; it is killed"]
