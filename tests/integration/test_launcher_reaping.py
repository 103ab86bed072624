"""The supervisor signals a process group only while its id cannot be reused: before its leader is reaped."""

import sys
from pathlib import Path

from support.launcher_checks import await_all_running, crash
from support.launcher_services import Stigmer, finished

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


def test_the_rest_of_a_group_is_killed_before_its_leader_is_reaped_and_never_after(
    launcher: Stigmer, tmp_path: Path
) -> None:
    """After a crash, and during the stop; a reaped pid may be reused immediately."""
    record = tmp_path / "record"
    server = launcher.spawn(sys.executable, "-S", "-c", RECORDED, str(record))
    await_all_running(launcher)
    leaders = {crash(launcher, "agent-runner"), *launcher.pids().values()}
    assert launcher("server", "stop").code == 0
    assert finished(server).code == 0
    done = record.read_text(encoding="utf-8").splitlines()
    for pid in leaders:
        assert f"signalled {pid}" in done
        assert f"signalled {pid}" not in done[done.index(f"reaped {pid}") :]
