"""What must hold after every fault: the server's state is still there, and starting, calling and stopping work."""

import contextlib
import os
import pty
import signal
import socket
import subprocess

from stigmer_launcher.system import locks
from support.launcher_services import Stigmer, eventually


def kept(launcher: Stigmer) -> list[str]:
    """Give what the fake server has written to its database, a line for each of its starts."""
    return (launcher.home / "stigmer.db").read_text(encoding="utf-8").splitlines()


def listens(port: int) -> bool:
    """Tell whether anybody answers on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def works(launcher: Stigmer) -> None:
    """Start, call and stop: after a fault everything is as it should be, and the server's state is still there."""
    before = kept(launcher) if (launcher.home / "stigmer.db").exists() else []
    launcher.started()
    assert launcher("smoke").code == 0
    assert kept(launcher)[: len(before)] == before
    assert launcher("server", "stop").code == 0
    assert launcher.processes() == []


def all_run(launcher: Stigmer) -> dict[str, int]:
    """Give the pids of the services once all of them run."""

    def pids() -> dict[str, int]:
        status = launcher.status()
        return {each["name"]: each["pid"] for each in status["services"]} if status["state"] == "running" else {}

    return dict(eventually(pids, "everything to run"))


def watchdog(launcher: Stigmer) -> int:
    """Give the pid of the watchdog."""
    return locks.holder(str(launcher.home / "run" / "warden.lock"))


def serves_and_stops(launcher: Stigmer, foreground: subprocess.Popen[str]) -> None:
    """Kill a service of a server in the foreground: it is started again, and a stop ends the server with exit code 0."""
    agent = all_run(launcher)["agent-runner"]
    os.kill(agent, signal.SIGKILL)
    eventually(lambda: launcher.pid("agent-runner") not in (0, agent), "its restart")
    assert launcher("server", "stop").code == 0
    assert foreground.wait(timeout=30) == 0


def shown_on_terminal(launcher: Stigmer, *arguments: str) -> bytes:
    """Run a command that succeeds on a terminal, and give what it sent there, each line ended by a line feed alone."""
    controller, terminal = pty.openpty()
    process = launcher.popen(*arguments, stdout=terminal, stderr=terminal, text=False)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while data := os.read(controller, 4096):
            shown += data
    os.close(controller)
    assert process.wait(30) == 0
    return shown.replace(b"\r\n", b"\n")
