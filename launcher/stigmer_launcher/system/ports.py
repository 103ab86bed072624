"""Checks whether ports are free and which process listens on them, from the kernel's tables."""

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.errors import PortError
from stigmer_launcher.system.places import user_name

_LISTEN = "0A"  # the state's number in /proc/net/tcp, hexadecimal
# Tried, never listened on. On Linux the wildcards meet a listener on any address; macOS lets one in beside a single address.
_ADDRESSES = ("127.0.0.1", "0.0.0.0", "::1", "::")  # noqa: S104
_MAPPED = bytes(10) + b"\xff\xff"  # what IPv6 puts before an address of IPv4
_LOOPBACK_SIX = bytes(15) + b"\1"


class Listener(NamedTuple):
    """A process and the TCP port it listens on, with the packed address; on Linux also what the kernel knows of the socket."""

    pid: int
    port: int
    address: bytes
    uid: int = 0
    link: str = ""  # what a descriptor of the socket points to


class Owner(NamedTuple):
    """The process that listens on a port. The pid is 0 when it belongs to another user, whom `name` then names."""

    pid: int
    name: str


def is_free(port: int) -> bool:
    """Return whether a service of ours could listen on `port`, and whether `localhost` would lead to it and nobody else."""
    return not any(_is_taken(address, port) for address in _ADDRESSES)


def _is_taken(address: str, port: int) -> bool:
    import socket

    six = ":" in address
    try:
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM) as probe:
            if six:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # otherwise this machine has no such family or address
    return False


def require_free(ports: Mapping[str, int]) -> None:
    """Raise PortError when somebody listens on a port of ours; it names who."""
    for name, number in ports.items():
        if is_free(number):
            continue
        owner = port_owner(number)
        by = f" by {owner.name}" + (f" (process {owner.pid})" if owner.pid else "") if owner else ""
        raise PortError(
            f"port {number} ({name}) is taken{by}",
            f"stop that process, or use another port: `stigmer server --port {name}=NUMBER`, for good with "
            f"`stigmer config set ports.{name} NUMBER`",
        )


def port_owner(port: int) -> Owner | None:
    """Find who listens on a TCP port of this machine, on any address; None when nobody is found."""
    sockets = [each for each in _sockets() if each.port == port]
    for listener in _listeners(sockets):
        if listener.port == port:
            return Owner(listener.pid, _name(listener.pid))
    return Owner(0, f"a process of user {user_name(sockets[0].uid)}") if sockets else None


def exposed(is_wanted: Callable[[int], bool]) -> list[Listener]:
    """List the ports on which the wanted processes, told by their pid, listen on more than loopback."""
    listeners = (each for each in _listeners(_sockets()) if is_wanted(each.pid) and not is_loopback(each.address))
    return list({each.port: each for each in listeners}.values())


def address_text(address: bytes) -> str:
    """Return a packed address as people write it."""
    import socket

    return str(socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address))


def is_loopback(address: bytes) -> bool:
    """Return whether a packed address can be reached from this machine alone."""
    four = address.removeprefix(_MAPPED)
    return four[0] == 127 if len(four) == 4 else address == _LOOPBACK_SIX


def _sockets() -> Iterator[Listener]:
    """Yield every listening TCP socket from the tables of Linux, which do not name its process."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table, encoding="ascii") as lines:
            for fields in map(str.split, lines):
                if fields[3] == _LISTEN:
                    address, _, port = fields[1].partition(":")
                    yield Listener(0, int(port, 16), _packed(address), int(fields[7]), f"socket:[{fields[9]}]")


def _packed(address: str) -> bytes:
    """Return an address in the order of the network; the tables have it in words of the processor."""
    words = (bytes.fromhex(address[place : place + 8]) for place in range(0, len(address), 8))
    return b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)


def _listeners(sockets: Iterable[Listener]) -> Iterator[Listener]:
    """Yield which processes listen, on Linux on these sockets, as far as this user may see it."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        yield from (Listener(pid, port, address) for pid in darwin.pids() for port, address in darwin.listening(pid))
    elif by_link := {each.link: each for each in sockets}:
        import glob

        for descriptor in glob.iglob("/proc/[0-9]*/fd/*"):
            with suppress(OSError):  # closed since it was listed
                if found := by_link.get(os.readlink(descriptor)):
                    yield found._replace(pid=int(descriptor.split("/")[2]))


def _name(pid: int) -> str:
    """Return the name of a process's program."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        return os.path.basename(darwin.program(pid))
    for file in ("cmdline", "comm"):  # a process may have emptied its command line
        with suppress(OSError), open(f"/proc/{pid}/{file}", encoding="utf-8", errors="replace") as stream:
            if program := stream.read().partition("\0")[0].strip():
                return os.path.basename(program)
    return ""
