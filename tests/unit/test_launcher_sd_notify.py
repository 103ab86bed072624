"""A service manager that waits for it is told that the server is ready."""

import os
import socket
from pathlib import Path

import pytest

from stigmer_launcher.system.service_manager import notify_ready


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_the_socket_that_was_named_gets_the_message(tmp_path: Path, kind: str) -> None:
    if kind == "abstract" and not Path("/proc/net/unix").exists():
        pytest.skip("only Linux has abstract sockets")
    name = str(tmp_path / "notify") if kind == "file" else f"@stigmer-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0"))
        receiver.settimeout(10)
        notify_ready({"NOTIFY_SOCKET": name})
        assert receiver.recv(100) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_manager_that_listens_nothing_happens(environ: dict[str, str]) -> None:
    notify_ready(environ)
