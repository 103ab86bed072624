"""Ports of processes that were killed: those on their way out are waited for, somebody else is named at once."""

import os
import socket
import subprocess
import sys

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
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a thread's end is asked of the kernel by number")
def test_a_port_that_an_ended_process_still_holds_is_waited_for() -> None:
    command = [sys.executable, "-c", HOLDS_ON]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        pauses = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            assert process.stdin is not None
            process.stdin.close()

        while identity(process.pid):
            pass
        await_ports({"server": port}, pause)
        assert pauses


def test_a_port_of_somebody_who_lives_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(PortError, match=f"process {os.getpid()}"):
        await_ports({"server": listener.getsockname()[1]}, lambda _: pytest.fail("waited"))
