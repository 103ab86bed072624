"""What macOS tells is read at the places its headers give; the layouts are made here as they stand there."""

import struct
import sys
from collections.abc import Callable
from typing import Any

import pytest

from stigmer_launcher.system import darwin
from stigmer_launcher.system.process import identity

LISTEN, ESTABLISHED = 1, 4
TCP, UNIX = 2, 3
IPV4, IPV6 = 1, 2
Answers = dict[tuple[str | int, ...], bytes]


class FakeSystem:
    """libSystem: a call with these numbers fills in these bytes, as far as its buffer has room; every other call fails."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def __getattr__(self, call: str) -> Callable[..., int]:
        return lambda *arguments: self.fill(call, *arguments)

    def fill(self, call: str, *arguments: Any) -> int:
        """Answer a call that ends with a buffer and its size, with how many bytes there are."""
        *numbers, buffer, size = arguments
        asked = (call, *(getattr(number, "value", number) for number in numbers))
        if asked not in self.answers:
            return -1
        filled = self.answers[asked][:size]
        buffer[: len(filled)] = filled
        return len(filled)


def process(start: tuple[int, int] = (1_700_000_000, 42)) -> bytes:
    """Make a `struct proc_bsdinfo` of <sys/proc_info.h>: twelve uint32, two names, six 32-bit fields, two uint64."""
    return struct.pack("=12I16s32s5IiQQ", *range(12), b"python3", b"", *range(5), 0, *start)


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
    """Let libSystem answer what is put here."""
    filled: Answers = {}
    monkeypatch.setattr(darwin, "_SYSTEM", FakeSystem(filled))
    return filled


def test_what_a_call_fills_in_is_read_after_it(answers: Answers) -> None:
    """The buffer was once read before the call, and every process had the same start."""
    answers["proc_pidinfo", 77, 3, 0] = process()
    answers["proc_listpids", 1, 0] = struct.pack("=iii", 400, 0, 1)
    answers["proc_pidpath", 77] = b"/opt/stigmer"
    assert (darwin.start_time(77), darwin.start_time(78)) == ("1700000000.000042", "")
    assert (darwin.program(77), darwin.program(78)) == ("/opt/stigmer", "")
    assert darwin.pids() == [400, 1]


def test_a_process_is_identified_by_its_start_to_the_microsecond() -> None:
    assert darwin.parse_start_time(process()) == "1700000000.000042"
    assert darwin.parse_start_time(process((1_700_000_000, 43))) != darwin.parse_start_time(process())
    assert darwin.parse_start_time(b"") == "", "nothing is filled in for a number nobody has, or only a zombie has"


def test_a_port_is_read_from_listening_tcp_sockets_alone() -> None:
    assert darwin.listener(sockets()) == (7234, bytes(4))
    assert darwin.listener(sockets(state=ESTABLISHED)) is None
    assert darwin.listener(sockets(kind=UNIX)) is None
    assert darwin.listener(b"") is None
    assert darwin.listener(sockets()[:-1]) is None, "another layout than the one we know is not guessed at"


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
def test_the_address_of_a_listener_is_read_in_its_own_family(flags: int, address: bytes) -> None:
    assert darwin.listener(sockets(flags=flags, address=address)) == (7234, address)


def test_sockets_are_picked_from_the_open_files() -> None:
    listed = struct.pack("=iIiIiI", 3, 1, 4, 2, 9, 2)
    assert darwin.socket_descriptors(listed) == [4, 9]
    assert darwin.socket_descriptors(listed + b"\0\0") == [4, 9]


def test_mount_flags_are_where_statfs_has_them() -> None:
    statfs = struct.pack("=Ii5QiiIII", 4096, 0, 1, 1, 1, 1, 1, 0, 0, 501, 26, 0x4).ljust(2168, b"\0")
    assert darwin.mount_flags(statfs) == 0x4


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
        assert ports.exposed(lambda pid: pid == os.getpid()) == []
    with socket.create_server(("", 0)) as listener:
        (exposed,) = ports.exposed(lambda pid: pid == os.getpid())
        assert exposed[:3] == (os.getpid(), listener.getsockname()[1], bytes(4))
