"""Detecting a port in use on any address, and naming its owner."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.errors import PortError
from stigmer_launcher.system import ports
from stigmer_launcher.system.process import identity
from support.launcher_services import eventually, read_line


def is_free(port: int) -> bool:
    try:
        ports.require_free({"server": port})
    except PortError:
        return False
    return True


@contextmanager
def taken_port(family: socket.AddressFamily, address: str) -> Iterator[int]:
    """Listen on an address and yield the port; skip the test on a machine without this address."""
    with socket.socket(family) as listener:
        try:
            listener.bind((address, 0))
        except OSError as error:
            pytest.skip(f"this machine has no {address}: {error}")
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("family", "address", "exposed"),
    [
        (socket.AF_INET, "127.0.0.1", []),
        (socket.AF_INET6, "::1", []),
        (socket.AF_INET6, "::ffff:127.0.0.1", []),
        (socket.AF_INET, "", ["0.0.0.0"]),  # noqa: S104 - the address under test
        (socket.AF_INET6, "::", ["::"]),
    ],
)
def test_a_listener_on_any_local_address_is_found_and_exposed_ones_are_reported(
    family: socket.AddressFamily, address: str, exposed: list[str]
) -> None:
    """Even on ::1 alone: `localhost` would lead there and not to our server."""
    with taken_port(family, address) as port:
        assert not is_free(port)
        owner = ports.port_owner(port) or pytest.fail("the port has an owner")
        assert (owner.pid, owner.name) == (os.getpid(), Path(sys.executable).name)
        ours = [each for each in ports.exposed_listeners(lambda pid: pid == os.getpid()) if each.port == port]
        assert {each.pid for each in ours} <= {os.getpid()}
        assert [each.address for each in ours] == [socket.inet_pton(family, text) for text in exposed]
        assert ports.exposed_listeners(lambda _: False) == []
    assert is_free(port)
    assert ports.port_owner(port) is None


def test_a_port_in_use_is_detected_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no IPv6 address can be bound, the IPv4 addresses alone decide."""
    make = socket.socket

    def make_without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no such family")
        return make(family, kind)

    with socket.create_server(("127.0.0.1", 0)) as listener, monkeypatch.context() as patched:
        port = listener.getsockname()[1]
        patched.setattr(socket, "socket", make_without_ipv6)
        assert not is_free(port)
    assert is_free(port)


@pytest.mark.skipif(sys.platform != "linux", reason="the tables of the kernel are files on Linux")
def test_the_owner_of_a_port_is_found_where_ipv6_is_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel has only the table of IPv4 then."""

    def open_without_ipv6(path: str, **options: Any) -> Any:
        return open("/missing" if path.endswith("tcp6") else path, **options)  # noqa: PTH123 - as the launcher calls it

    monkeypatch.setattr(ports, "open", open_without_ipv6, raising=False)
    with taken_port(socket.AF_INET, "127.0.0.1") as port:
        owner = ports.port_owner(port) or pytest.fail("the port has an owner")
        assert owner.pid == os.getpid()


@pytest.mark.skipif(sys.platform != "linux", reason="the names of processes are files on Linux")
def test_a_listener_that_has_ended_meanwhile_has_no_name() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert ports.Listener(ended.pid, 7234, bytes(4)).name == ""


def test_a_closed_connection_does_not_block_a_port() -> None:
    """A restart during TIME_WAIT, which lasts a minute, must work."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, Go's among them
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()
            assert client.recv(1) == b""
    assert is_free(port)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux to be another user")
def test_a_port_of_another_user_is_reported_with_the_users_name() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        program = (
            f"import os, sys; sys.path.insert(0, {str(Path(ports.__file__).parents[2])!r})\n"
            "from stigmer_launcher.system import ports\n"
            "ports.port_owner(1); import glob, pwd  # loads what lies in the tester's home while it is accessible\n"
            "os.setuid(65534)\n"
            f"owner = ports.port_owner({listener.getsockname()[1]})\n"
            "print(owner.pid, owner.name)\n"
        )
        shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        assert shown == "0 a process of user root\n"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux to be another user")
def test_a_privileged_port_is_refused_with_the_command_that_chooses_another() -> None:
    if Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() == "0\n":
        pytest.skip("every user may listen on every port")
    program = (
        f"import os, sys; sys.path.insert(0, {str(Path(ports.__file__).parents[2])!r})\n"
        "from stigmer_launcher.system import ports\n"
        "ports.port_owner(1); ports.require_free({'server': 0}); import glob, pwd  # loads what lies in the tester's home, as above\n"
        "os.setuid(65534)\n"
        "try:\n    ports.require_free({'server': 1})\n"
        "except ports.PortError as error:\n    print(error, error.remedy, sep='\\n')\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    problem, remedy = shown.splitlines()
    assert problem == "no permission to listen on port 1 (server)"
    assert remedy.startswith("use another port: `stigmer server --port server=NUMBER`")


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.8.9.10", True),
        ("192.168.1.127", False),
        ("::ffff:0.0.0.0", False),
        ("fe80::1", False),
        ("7f00::1", False),
    ],
)
def test_loopback_addresses_are_distinguished_from_others(address: str, *, loopback: bool) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    assert ports.is_loopback(socket.inet_pton(family, address)) is loopback


# The first thread exits alone: the process looks like a zombie, but its other thread still holds the port.
PORT_HELD_BY_A_ZOMBIE = """
import ctypes, platform, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="exits a thread by its Linux system call number")
def test_a_start_waits_for_a_port_that_an_ended_process_still_holds() -> None:
    """Such a port has no owner that could be reported."""
    command, pauses = [sys.executable, "-c", PORT_HELD_BY_A_ZOMBIE], []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ended:
        assert ended.stdin is not None
        give_up = ended.stdin.close  # the other thread ends with its input

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            give_up()

        port = int(read_line(ended))
        eventually(lambda: not identity(ended.pid), "the end of its first thread")
        ports.await_free({"server": port}, pause)
    assert pauses


def test_a_port_of_another_program_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(PortError, match=f"process {os.getpid()}"):
        ports.await_free({"server": listener.getsockname()[1]}, lambda _: pytest.fail("waited"))


def test_a_port_that_stays_taken_without_an_owner_is_not_awaited_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS, where the processes of other users are hidden."""
    monkeypatch.setattr(ports, "_EXIT_SECONDS", 0.05)
    monkeypatch.setattr(ports, "port_owner", lambda _: None)
    with (
        taken_port(socket.AF_INET, "127.0.0.1") as port,
        pytest.raises(PortError, match=f"{port} \\(server\\) is taken$"),
    ):
        ports.await_free({"server": port})
