"""The supervisor's long life: what it may not need any more once everything runs, and what it costs to keep it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stigmer_launcher.system import locks
from support.launcher_payloads import build_libexec
from support.launcher_services import Stigmer, end, eventually, fake_stack, stigmer

# `stigmer server --foreground`, which notes every module imported after everything ran, and whose wall clock jumps then.
WATCHED = """
import json, sys, time
late, jump, real = [], [0.0], time.time
time.time = lambda: real() + jump[0]
from stigmer_launcher.cli.commands import start as starting
from stigmer_launcher.__main__ import run

class Guard:
    def find_spec(self, name, path=None, target=None):
        late.append(name)
        return None

supervise = starting.supervise
def watched(launch, tell):
    def tell_and_watch(event):
        tell(event)
        if event["event"] == "running":
            jump[0] = float(sys.argv[2])
            sys.meta_path.insert(0, Guard())
    code = supervise(launch, tell_and_watch)
    json.dump(late, open(sys.argv[1], "w"))
    return code
starting.supervise = watched
sys.exit(run(["server", "--foreground"]))
"""


def watched(launcher: Stigmer, note: Path, jump: float = 0.0) -> subprocess.Popen[str]:
    """Start the watched server, and return when everything runs."""
    command = [sys.executable, "-S", "-c", WATCHED, str(note), str(jump)]
    process = subprocess.Popen(command, env=launcher.environment, stdout=subprocess.PIPE, text=True, cwd="/")
    assert process.stdout is not None
    eventually(lambda: "All services running" in process.stdout.readline(), "the start")
    return process


def pid_after(launcher: Stigmer, service: str, before: int) -> int:
    """Give a service's pid once it runs again."""

    def again() -> int:
        found = next(each for each in launcher.status()["services"] if each["name"] == service)
        return int(found["pid"]) if found["state"] == "running" and found["pid"] != before else 0

    return int(eventually(again, f"{service} to run again"))


def test_nothing_is_imported_once_everything_runs(tmp_path: Path) -> None:
    """An upgrade deletes the keg under the running server: a restart, a new watchdog and the stop must not need it."""
    note = tmp_path / "late.json"
    with stigmer(tmp_path, fake_stack(workflow_runner="exit=1 after=2", stigmer_server="forks=1")) as launcher:
        process = watched(launcher, note)
        pid = launcher.pid("temporal")
        os.kill(pid, signal.SIGKILL)
        pid_after(launcher, "temporal", pid)
        os.kill(locks.holder(str(launcher.home / "run" / "warden.lock")), signal.SIGKILL)
        eventually(lambda: launcher.status()["state"] == "degraded", "the crash of the runner")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert json.loads(note.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("jump", [-1e9, 1e9], ids=["back", "ahead"])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, jump: float) -> None:
    """Decades back or ahead: pauses, deadlines and uptimes are measured with a clock that only runs."""
    with stigmer(tmp_path) as launcher:
        process = watched(launcher, tmp_path / "late.json", jump)
        began = time.monotonic()
        pid = launcher.pid("agent-runner")
        os.kill(pid, signal.SIGKILL)
        pid_after(launcher, "agent-runner", pid)
        status = launcher.status()
        assert status["state"] == "running"
        assert all(0 <= each["uptime"] <= time.monotonic() - began + 60 for each in status["services"])
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 0


def memory(pid: int) -> int:
    """Give a process's proportional share of memory, in KiB (proc(5), smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def wakeups(pid: int) -> int:
    """Give how often a process has been scheduled (proc(5), status)."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)


def test_at_rest_the_supervisor_sleeps_and_is_small(tmp_path: Path) -> None:
    """Only a look at its home every two seconds wakes it. With its watchdog it stays below 15 MB."""
    with stigmer(tmp_path) as launcher:
        launcher.started()
        pid = launcher.status()["supervisor_pid"]
        watchdog = locks.holder(str(launcher.home / "run" / "warden.lock"))
        before = wakeups(pid) + wakeups(watchdog)
        launcher("server", "status")
        assert wakeups(pid) + wakeups(watchdog) - before <= 5
        assert memory(pid) + memory(watchdog) <= 15 * 1024


def test_brew_may_run_it_before_there_is_a_home(tmp_path: Path) -> None:
    """A keg without any home: the version, the help and the status work, and make nothing."""
    libexec = build_libexec(tmp_path / "keg", fake_stack())
    launcher = Stigmer(libexec, tmp_path / "home")
    for arguments in (
        ("version",),
        ("--help",),
        ("server", "status"),
        ("server", "logs"),
        ("config", "list"),
        ("doctor",),
    ):
        launcher(*arguments)
        assert not (tmp_path / "home").exists(), arguments
    end(launcher)
    assert not (tmp_path / "home").exists()
