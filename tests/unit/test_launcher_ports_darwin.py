"""Parsing what macOS returns, by the layouts in its headers; the tests build the same structs."""

import ctypes
import struct
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from stigmer_launcher.system import darwin
from stigmer_launcher.system.process import identity

LISTEN, ESTABLISHED = 1, 4
TCP, UNIX = 2, 3
IPV4, IPV6 = 1, 2
Listening = Callable[[bytes], list[tuple[int, bytes]]]
Answers = dict[tuple[str | int, ...], bytes]


class FakeSystem:
    """Fake libSystem: a known call copies its answer into the buffer, up to its size; every other call fails.

    Without prototypes, ctypes passes an integer as 32 bits, so the 64-bit argument of `proc_pidinfo` needs a type.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def __getattr__(self, call: str) -> Callable[..., int]:
        return lambda *arguments: self.fill(call, *arguments)

    def fill(self, call: str, *arguments: Any) -> int:
        """Fill the buffer of a call that ends with a buffer and its size; return the number of bytes, or -1."""
        *numbers, buffer, size = arguments
        assert len(buffer) == size
        assert [type(number) for number in numbers[2:] if call == "proc_pidinfo"] in ([], [ctypes.c_uint64])
        key = (call, *(getattr(number, "value", number) for number in numbers))
        if key not in self.answers:
            return -1
        filled = self.answers[key][:size]
        buffer[: len(filled)] = filled
        return len(filled)


def sockets(kind: int = TCP, state: int = LISTEN, port: int = 7234, flags: int = IPV4, address: bytes = b"") -> bytes:
    """Return a `struct socket_fdinfo`: proc_fileinfo, socket_info up to soi_kind, in_sockinfo, the TCP state, the rest."""
    fileinfo = struct.pack("=IIqiI", 0, 0, 0, 0, 0)
    stat = struct.pack("=IHHQII8qqqiIII2q", *([0] * 22))
    buffers = bytes(2 * 24)  # struct sockbuf_info, for each direction
    info = struct.pack("=QQ3i7hHI", *([0] * 14)) + buffers
    addresses = (
        struct.pack("=i", 0)
        + struct.pack("!Hxx", port)
        + struct.pack("=QIIBBxxI", 0, 0, 0, flags, 64, 0)  # generation, flags, flow, version, TTL, reserved
        + bytes(16)  # the foreign address
        + address.rjust(16, b"\0")  # the local one; in6_addr, or in4in6_addr, whose last four bytes are IPv4's
        + bytes(16)  # the fields specific to IPv4 and IPv6
    )
    assert len(addresses) == 80
    content = fileinfo + stat + info + struct.pack("=iI", kind, 0) + addresses + struct.pack("=i", state)
    return content.ljust(792, b"\0")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Install a fake libSystem and return its answers, which are empty at first."""
    filled: Answers = {}
    monkeypatch.setattr(darwin, "_SYSTEM", FakeSystem(filled))
    return filled


@pytest.fixture
def listening(answers: Answers) -> Listening:
    """Return a function that lists the listeners of process 77, whose descriptors 4 and 9 are sockets.

    The function takes the info about descriptor 9.
    """

    def ask(info: bytes) -> list[tuple[int, bytes]]:
        answers["proc_pidinfo", 77, 1, 0] = struct.pack("=iIiIiIxx", 3, 1, 4, 2, 9, 2)
        answers["proc_pidfdinfo", 77, 9, 3] = info
        return list(darwin.listening(77))

    return ask


@pytest.mark.parametrize("start", [(1_700_000_000, 42), (1_700_000_000, 43)])
def test_a_process_is_identified_by_its_start_to_the_microsecond(answers: Answers, start: tuple[int, int]) -> None:
    """`struct proc_bsdinfo` of <sys/proc_info.h>: twelve uint32, two names, six 32-bit fields, two uint64."""
    info = struct.pack("=12I16s32s5IiQQ", *range(12), b"python3", b"", *range(5), 0, *start)
    answers["proc_pidinfo", 77, 3, 0] = info
    assert darwin.start_time(77) == f"1700000000.0000{start[1]}"
    assert darwin.start_time(78) == "", "the call fails for an unused pid and for a zombie"


def test_the_processor_time_is_the_sum_of_user_and_system_time(answers: Answers) -> None:
    """Source: struct proc_taskinfo of <sys/proc_info.h>."""
    answers["proc_pidinfo", 77, 4, 0] = struct.pack("=4Q64x", 1, 2, 30, 400)
    assert darwin.processor_time(77) == 430.0
    assert darwin.processor_time(78) is None


def test_processes_and_their_programs_are_listed(answers: Answers) -> None:
    """Each buffer was once read before the call filled it, and held only zeros."""
    answers["proc_listpids", 1, 0] = struct.pack("=iii", 400, 0, 1)
    assert darwin.pids() == [400, 1]
    answers["proc_pidpath", 77] = b"/opt/stigmer"
    assert (darwin.program(77), darwin.program(78)) == ("/opt/stigmer", "")


def test_a_port_is_read_only_from_listening_tcp_sockets(listening: Listening) -> None:
    assert listening(sockets()) == [(7234, bytes(4))]
    assert listening(sockets(state=ESTABLISHED)) == []
    assert listening(sockets(kind=UNIX)) == []
    assert listening(b"") == []
    assert listening(sockets()[:-1]) == [], "a struct of an unknown size is not parsed"


@pytest.mark.parametrize(
    ("flags", "address"),
    [
        (IPV4, b"\x7f\0\0\1"),
        (IPV4, bytes(4)),
        (IPV6, bytes(15) + b"\1"),
        (IPV6, bytes(16)),
        (IPV4 | IPV6, bytes(16)),
    ],
)
def test_the_address_of_a_listener_is_read_in_its_own_family(listening: Listening, flags: int, address: bytes) -> None:
    assert listening(sockets(flags=flags, address=address)) == [(7234, address)]


@pytest.mark.parametrize("name", ["statfs", "statfs$INODE64"])
def test_the_mount_flags_are_read_from_statfs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for flags in (0x4, 0x8):
        statfs = struct.pack("=Ii5QiiIII", 4096, 0, 1, 1, 1, 1, 1, 0, 0, 501, 26, flags).ljust(2168, b"\0")

        def fill(path: bytes, buffer: Any, statfs: bytes = statfs) -> int:
            buffer[: len(statfs)] = statfs
            return 0 if path == b"/mnt" else -1

        monkeypatch.setattr(darwin, "_SYSTEM", SimpleNamespace(**{name: fill}))
        assert darwin.is_noexec("/mnt") is (flags == 0x4)
        assert not darwin.is_noexec("/absent")


@pytest.mark.skipif(sys.platform != "darwin", reason="calls macOS itself")
def test_the_calls_work_on_macos() -> None:
    import os
    import socket

    from stigmer_launcher.system import ports

    assert identity(os.getpid()) == darwin.start_time(os.getpid()) != ""
    assert not darwin.is_noexec("/")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        owner = ports.port_owner(listener.getsockname()[1])
        assert owner is not None
        assert owner.pid == os.getpid()
        assert "ython" in owner.name
        assert ports.exposed_listeners(lambda pid: pid == os.getpid()) == []
    with socket.create_server(("", 0)) as listener:
        (exposed,) = ports.exposed_listeners(lambda pid: pid == os.getpid())
        assert exposed[:3] == (os.getpid(), listener.getsockname()[1], bytes(4))
