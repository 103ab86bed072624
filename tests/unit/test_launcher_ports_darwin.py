"""Answers of macOS are read by the layouts of its headers; the tests build the same structs."""

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
    """libSystem: a call with these numbers fills in these bytes, as far as its buffer has room; every other call fails.

    Without prototypes an integer is passed with 32 bits, so the argument of `proc_pidinfo` that has 64 must say so.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def __getattr__(self, call: str) -> Callable[..., int]:
        return lambda *arguments: self.fill(call, *arguments)

    def fill(self, call: str, *arguments: Any) -> int:
        """Answer a call that ends with a buffer and its size, with how many bytes there are."""
        *numbers, buffer, size = arguments
        assert len(buffer) == size
        assert [type(number) for number in numbers[2:] if call == "proc_pidinfo"] in ([], [ctypes.c_uint64])
        asked = (call, *(getattr(number, "value", number) for number in numbers))
        if asked not in self.answers:
            return -1
        filled = self.answers[asked][:size]
        buffer[: len(filled)] = filled
        return len(filled)


def sockets(kind: int = TCP, state: int = LISTEN, port: int = 7234, flags: int = IPV4, address: bytes = b"") -> bytes:
    """Make a `struct socket_fdinfo`: proc_fileinfo, socket_info up to soi_kind, in_sockinfo, the TCP state, the rest."""
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
        + bytes(16)  # what IPv4 and IPv6 have of their own
    )
    assert len(addresses) == 80
    whole = fileinfo + stat + info + struct.pack("=iI", kind, 0) + addresses + struct.pack("=i", state)
    return whole.ljust(792, b"\0")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Make libSystem return these answers."""
    filled: Answers = {}
    monkeypatch.setattr(darwin, "_SYSTEM", FakeSystem(filled))
    return filled


@pytest.fixture
def listening(answers: Answers) -> Listening:
    """Return where process 77 listens; its descriptors 4 and 9 are sockets, and the answer is about 9."""

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
    assert darwin.start_time(78) == "", "nothing is filled in for a number nobody has, or only a zombie has"


def test_the_processor_time_is_the_sum_of_two_fields(answers: Answers) -> None:
    """Source: struct proc_taskinfo of <sys/proc_info.h>."""
    answers["proc_pidinfo", 77, 4, 0] = struct.pack("=4Q64x", 1, 2, 30, 400)
    assert darwin.processor_time(77) == 430.0
    assert darwin.processor_time(78) is None


def test_processes_and_their_programs_are_listed(answers: Answers) -> None:
    """Each buffer was once read before its call, and held nothing but zeros."""
    answers["proc_listpids", 1, 0] = struct.pack("=iii", 400, 0, 1)
    assert darwin.pids() == [400, 1]
    answers["proc_pidpath", 77] = b"/opt/stigmer"
    assert (darwin.program(77), darwin.program(78)) == ("/opt/stigmer", "")


def test_a_port_is_read_from_listening_tcp_sockets_alone(listening: Listening) -> None:
    assert listening(sockets()) == [(7234, bytes(4))]
    assert listening(sockets(state=ESTABLISHED)) == []
    assert listening(sockets(kind=UNIX)) == []
    assert listening(b"") == []
    assert listening(sockets()[:-1]) == [], "another layout than the one we know is not guessed at"


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
def test_mount_flags_are_where_statfs_has_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for flags in (0x4, 0x8):
        statfs = struct.pack("=Ii5QiiIII", 4096, 0, 1, 1, 1, 1, 1, 0, 0, 501, 26, flags).ljust(2168, b"\0")

        def fill(path: bytes, buffer: Any, statfs: bytes = statfs) -> int:
            buffer[: len(statfs)] = statfs
            return 0 if path == b"/mnt" else -1

        monkeypatch.setattr(darwin, "_SYSTEM", SimpleNamespace(**{name: fill}))
        assert darwin.is_noexec("/mnt") is (flags == 0x4)
        assert not darwin.is_noexec("/absent")


@pytest.mark.skipif(sys.platform != "darwin", reason="this asks macOS itself")
def test_macos_itself_answers() -> None:
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
