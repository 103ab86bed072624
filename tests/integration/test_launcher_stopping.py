"""`stigmer server stop` returns when the supervisor's process is gone, not only its lock."""

import subprocess
import sys
from pathlib import Path

from support.launcher_services import LAUNCHER, Stigmer, is_running

# Told to stop, it gives its lock back and is some time in ending, as on a machine that is short of processors.
LINGERING_SUPERVISOR = """
import signal, sys, time
from stigmer_launcher import locks
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
