"""Free ports for programs under test: no other program takes one between the search and its use."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

from stigmer_packaging.lib import loopback
from stigmer_packaging.lib.loopback import free_port

PRINT_PORTS = "from stigmer_packaging.lib.loopback import free_port; print(*(free_port() for _ in range(20)), flush=True); input()"


def test_a_free_port_is_not_one_that_the_system_assigns() -> None:
    """The system once assigned a free port of one test to the server of another."""
    with contextlib.ExitStack() as sockets:
        assigned = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(200)]
    assert free_port() < min(assigned)


def test_concurrent_processes_get_different_ports() -> None:
    environment = {"PYTHONPATH": str(Path(loopback.__file__).parents[2])}
    words = [sys.executable, "-c", PRINT_PORTS]
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        answer = {int(word) for word in other.stdout.readline().split()}
        ports = {free_port() for _ in range(20)}
        other.communicate("\n", timeout=20)
    assert len(answer) == len(ports) == 20
    assert answer.isdisjoint(ports)


def test_a_port_in_use_is_skipped() -> None:
    following = free_port() + 1
    with socket.create_server(("127.0.0.1", following)):
        assert free_port() != following
