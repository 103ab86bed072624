"""Checks after a fault: the server's state has survived, and starting, calling and stopping work."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.system import locks
from support.launcher_services import Stigmer, eventually, finished, is_running

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, to look at another process")


def server_state(launcher: Stigmer) -> list[str]:
    """Return the content of the fake server's database: a line for each of its starts."""
    return (launcher.home / "stigmer.db").read_text(encoding="utf-8").splitlines()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fails_to_start(launcher: Stigmer, *options: str) -> str:
    """Check that the start fails and leaves no process; return stderr."""
    done = launcher("server", *options)
    assert done.code == 1
    assert "All services running" not in done.out
    assert launcher.processes() == []
    return done.err


def assert_works(launcher: Stigmer) -> None:
    """Check that starting, calling and stopping work, and that the server's state has survived."""
    before = server_state(launcher) if (launcher.home / "stigmer.db").exists() else []
    launcher.started()
    assert launcher("smoke").code == 0
    assert server_state(launcher)[: len(before)] == before
    assert launcher("server", "stop").code == 0
    assert launcher.processes() == []


def await_all_running(launcher: Stigmer) -> dict[str, int]:
    """Wait until all services run; return their pids."""

    def pids() -> dict[str, int]:
        status = launcher.status()
        return {each["name"]: each["pid"] for each in status["services"]} if status["state"] == "running" else {}

    return dict(eventually(pids, "everything to run"))


def watchdog(launcher: Stigmer) -> int:
    return locks.holder(str(launcher.home / "run" / "warden.lock"))


def wakeups(pid: int) -> int:
    """Return the number of context switches of a process (proc(5), status)."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)


def kill_together(launcher: Stigmer) -> None:
    """Kill the supervisor and its watchdog so that neither can react to the other's death: both are stopped first."""
    pids = (watchdog(launcher), launcher.status()["supervisor_pid"])
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    eventually(lambda: not any(map(is_running, pids)), "the end of both")


def crash(launcher: Stigmer, service: str) -> int:
    """Kill a service and wait until it runs again; return its former pid."""
    pid = launcher.kill(service)

    def is_back() -> bool:
        status = launcher.services()[service]
        return bool(status["state"] == "running" and status["pid"] != pid)

    eventually(is_back, f"{service} to run again")
    return pid


def in_foreground(launcher: Stigmer, **more: Any) -> subprocess.Popen[str]:
    """Start a server in the foreground; return its process once all services run."""
    process = launcher.popen("server", "--foreground", **more)
    await_all_running(launcher)
    return process


def stop_by(foreground: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    """Stop a server in the foreground by a signal, which must succeed; return its stdout."""
    foreground.send_signal(number)
    done = finished(foreground)
    assert (done.code, done.err) == (0, "")
    return done.out


def serves_and_stops(launcher: Stigmer, foreground: subprocess.Popen[str]) -> None:
    """Check that a server in the foreground restarts a killed service, and exits with 0 when it is stopped."""
    await_all_running(launcher)
    crash(launcher, "agent-runner")
    assert launcher("server", "stop").code == 0
    assert foreground.wait(timeout=30) == 0


def shown_on_terminal(launcher: Stigmer, *arguments: str) -> bytes:
    """Run a command on a terminal, which must succeed; return its output, with CRLF replaced by LF."""
    controller, terminal = pty.openpty()
    process = launcher.popen(*arguments, stdout=terminal, stderr=terminal, text=False)
    os.close(terminal)
    output = b""
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while data := os.read(controller, 4096):
            output += data
    os.close(controller)
    assert process.wait(30) == 0
    return output.replace(b"\r\n", b"\n")
