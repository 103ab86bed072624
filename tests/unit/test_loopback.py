"""Ports for programs that are tried out: no other program takes them between the question and the use."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

from stigmer_packaging.lib import loopback
from stigmer_packaging.lib.loopback import free_port

ASK = "from stigmer_packaging.lib.loopback import free_port; print(*(free_port() for _ in range(20)), flush=True); input()"


def test_a_free_port_is_none_that_the_system_gives_out() -> None:
    """A server of one test once got the port that another test had asked for."""
    with contextlib.ExitStack() as sockets:
        given = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(200)]
    assert free_port() < min(given)


def test_processes_that_ask_meanwhile_get_other_ports() -> None:
    environment = {"PYTHONPATH": str(Path(loopback.__file__).parents[2])}
    words = [sys.executable, "-c", ASK]
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        answer = {int(word) for word in other.stdout.readline().split()}
        ports = {free_port() for _ in range(20)}
        other.communicate("\n", timeout=20)
    assert len(answer) == len(ports) == 20
    assert answer.isdisjoint(ports)


def test_a_port_on_which_somebody_listens_is_passed_over() -> None:
    following = free_port() + 1
    with socket.create_server(("127.0.0.1", following)):
        assert free_port() != following
