"""Ports of processes that were killed: those on their way out are waited for, somebody else is named at once."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stigmer_launcher.errors import PortError
from stigmer_launcher.supervise.leftovers import await_ports
from stigmer_launcher.system.process import identity

# The first thread ends alone: the process is a zombie to everybody who looks, and its other thread still listens.
HOLDS_ON = """
import ctypes, platform, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=sys.stdin.read).start()
if sys.argv[1] == "zombie":
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@contextmanager
def listening(kind: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Give a process and its port; it ends when its input does."""
    command = [sys.executable, "-c", HOLDS_ON, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.stdin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread's end is asked of the kernel by number")
def test_a_port_that_an_ended_process_still_holds_is_waited_for() -> None:
    with listening("zombie") as (process, port):
        pauses = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            assert process.stdin is not None
            process.stdin.close()

        while identity(process.pid):
            pass
        await_ports({"server": port}, pause)
        assert pauses


def test_a_port_of_somebody_else_is_refused_at_once() -> None:
    with listening("alive") as (process, port), pytest.raises(PortError, match=f"process {process.pid}"):
        await_ports({"server": port}, lambda _: pytest.fail("waited"))
