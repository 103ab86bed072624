"""A long-running supervisor: what it must not need once everything runs, and the resources it uses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.launcher_checks import await_all_running, crash, needs_proc, stop_by, wakeups, watchdog
from support.launcher_services import Stigmer, eventually

# `stigmer server --foreground` that records each module imported after everything runs; its wall clock then jumps.
WATCHED = """
import json, sys, time
late, jump, real = [], [0.0], time.time
time.time = lambda: real() + jump[0]
from stigmer_launcher.supervise import daemon
from stigmer_launcher.__main__ import run

class Guard:
    def find_spec(self, name, path=None, target=None):
        late.append(name)
        return None

supervise = daemon.supervise
def watched(launch, tell):
    def tell_and_watch(event):
        tell(event)
        if event["event"] == "running":
            jump[0] = float(sys.argv[2])
            sys.meta_path.insert(0, Guard())
    code = supervise(launch, tell_and_watch)
    json.dump(late, open(sys.argv[1], "w"))
    return code
daemon.supervise = watched
sys.exit(run(["server", "--foreground"]))
"""


def watched(launcher: Stigmer, note: Path, jump: float = 0.0) -> subprocess.Popen[str]:
    """Start the instrumented server, and return once everything runs."""
    process = launcher.spawn(sys.executable, "-S", "-c", WATCHED, str(note), str(jump))
    await_all_running(launcher)
    return process


@pytest.mark.stack(workflow_runner="exit=1 after=2", stigmer_server="forks=1")
def test_nothing_is_imported_once_everything_runs(launcher: Stigmer, tmp_path: Path) -> None:
    """An upgrade deletes the keg of the running server: restarts, a new watchdog and the stop must not need it."""
    note = tmp_path / "late.json"
    process = watched(launcher, note)
    crash(launcher, "temporal")
    os.kill(watchdog(launcher), signal.SIGKILL)
    eventually(lambda: launcher.status()["state"] == "degraded", "the crash of the runner")
    stop_by(process)
    assert json.loads(note.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("jump", [-1e9, 1e9], ids=["back", "ahead"])
def test_a_clock_that_jumps_changes_nothing(launcher: Stigmer, tmp_path: Path, jump: float) -> None:
    """Even by decades, back or ahead: pauses, deadlines and uptimes are measured with a monotonic clock."""
    process = watched(launcher, tmp_path / "late.json", jump)
    began = time.monotonic()
    crash(launcher, "agent-runner")
    status = launcher.status()
    assert status["state"] == "running"
    assert all(0 <= each["uptime"] <= time.monotonic() - began + 60 for each in status["services"])
    stop_by(process)


def memory(pid: int) -> int:
    """Return a process's proportional share of memory, in KiB (proc(5), smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


@needs_proc
def test_at_rest_the_supervisor_sleeps_and_is_small(running: Stigmer) -> None:
    """It wakes only to check its home every two seconds. With its watchdog it stays below 15 MB."""
    pids = running.status()["supervisor_pid"], watchdog(running)
    before = sum(map(wakeups, pids))
    running("server", "status")
    assert sum(map(wakeups, pids)) - before <= 5
    assert sum(map(memory, pids)) <= 15 * 1024


@pytest.mark.parametrize(
    "words", ["version", "--help", "server status", "server logs", "server stop", "config list", "doctor"]
)
def test_brew_can_run_it_before_a_home_exists(launcher: Stigmer, words: str) -> None:
    launcher(*words.split())
    assert not launcher.home.exists()
