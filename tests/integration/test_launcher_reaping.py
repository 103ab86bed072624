"""The supervisor signals a process group only while its number cannot have another owner: before its leader is reaped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from support.launcher_services import Stigmer, eventually, stigmer

RECORDED = """
import os, sys
from stigmer_launcher.__main__ import run

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
waitpid, killpg = os.waitpid, os.killpg

def recorded_wait(*arguments):
    pid, status = waitpid(*arguments)
    os.write(log, b"reaped %d\\n" % pid)
    return pid, status

def recorded_signal(group, number):
    os.write(log, b"signalled %d\\n" % group)
    killpg(group, number)

os.waitpid, os.killpg = recorded_wait, recorded_signal
sys.exit(run(["server", "--foreground"]))
"""


def recorded(launcher: Stigmer, record: Path) -> subprocess.Popen[bytes]:
    """Run a server in the foreground that writes down whom it reaps and signals."""
    command = [sys.executable, "-S", "-c", RECORDED, str(record)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=launcher.environment, stdin=quiet, stdout=quiet, stderr=quiet)


def test_what_is_left_of_a_group_is_killed_before_its_leader_is_reaped_and_never_after(tmp_path: Path) -> None:
    """After a crash, and at the stop; a number that was reaped may be another program's a moment later."""
    record = tmp_path / "record"
    with stigmer(tmp_path) as launcher:
        server = recorded(launcher, record)
        eventually(lambda: launcher.status()["state"] == "running", "the services to run")
        crashed = launcher.pid("agent-runner")
        os.kill(crashed, signal.SIGKILL)
        eventually(lambda: launcher.pid("agent-runner") not in (0, crashed), "its restart")
        leaders = {crashed, *(each["pid"] for each in launcher.status()["services"])}
        assert launcher("server", "stop").code == 0
        assert server.wait(timeout=30) == 0
    done = record.read_text(encoding="utf-8").splitlines()
    for pid in leaders:
        assert f"signalled {pid}" in done
        assert f"signalled {pid}" not in done[done.index(f"reaped {pid}") :]
