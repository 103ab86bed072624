"""Checks whether ports are free and which process listens on them, from the kernel's tables."""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.errors import PortError
from stigmer_launcher.system import process
from stigmer_launcher.system.places import user_name

_LISTEN = "0A"  # the state's number in /proc/net/tcp, hexadecimal
# Tried, never listened on. On Linux the wildcards meet a listener on any address; macOS lets one in beside a single address.
_ADDRESSES = ("127.0.0.1", "0.0.0.0", "::1", "::")  # noqa: S104
_MAPPED = bytes(10) + b"\xff\xff"  # what IPv6 puts before an address of IPv4
_LOOPBACK_SIX = bytes(15) + b"\1"
_POLL_INTERVAL = 0.01  # seconds
_EXIT_SECONDS = 10.0  # a process that was killed holds its ports until its last thread has ended


class Listener(NamedTuple):
    """A process and the TCP port it listens on, with the packed address; pid 0 stands for one of another user, `uid`."""

    pid: int
    port: int
    address: bytes
    uid: int = 0

    @property
    def name(self) -> str:
        """Return the name of the process's program, or whose process it is."""
        if not self.pid:
            return f"a process of user {user_name(self.uid)}"
        if sys.platform == "darwin":
            from stigmer_launcher.system import darwin

            return os.path.basename(darwin.program(self.pid))
        for file in ("cmdline", "comm"):  # a process may have emptied its command line
            with suppress(OSError), open(f"/proc/{self.pid}/{file}", encoding="utf-8", errors="replace") as stream:
                if program := stream.read().partition("\0")[0].strip():
                    return os.path.basename(program)
        return ""


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
        remedy = f"stop that process, or use another port: `stigmer server --port {name}=NUMBER`, for good with "
        remedy += f"`stigmer config set ports.{name} NUMBER`"
        raise PortError(f"port {number} ({name}) is taken{by}", remedy)


def await_free(ports: Mapping[str, int], pause: Callable[[float], object] = time.sleep) -> None:
    """Wait until the ports are free that ended processes still hold; PortError when somebody else has one."""
    deadline = time.monotonic() + _EXIT_SECONDS
    while True:
        try:
            return require_free(ports)
        except PortError:
            # Nobody can be named who has the port of an ended process.
            owners = [port_owner(port) for port in ports.values() if not is_free(port)]
            if time.monotonic() > deadline or any(owner and process.identity(owner.pid) for owner in owners):
                raise
        pause(_POLL_INTERVAL)


def port_owner(port: int) -> Listener | None:
    """Find who listens on a TCP port of this machine, on any address; None when nobody is found."""
    return next(_listeners(port), None)


def exposed(is_wanted: Callable[[int], bool]) -> list[Listener]:
    """List the ports on which the wanted processes, told by their pid, listen on more than loopback."""
    listeners = (each for each in _listeners() if is_wanted(each.pid) and not is_loopback(each.address))
    return list({each.port: each for each in listeners}.values())


def address_text(address: bytes) -> str:
    """Return a packed address as people write it."""
    import socket

    return str(socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address))


def is_loopback(address: bytes) -> bool:
    """Return whether a packed address can be reached from this machine alone."""
    four = address.removeprefix(_MAPPED)
    return four[0] == 127 if len(four) == 4 else address == _LOOPBACK_SIX


def _listeners(port: int = 0) -> Iterator[Listener]:
    """Yield who listens on a port, or on any; on Linux then each socket without its pid, as another user's is hidden."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        found = (Listener(pid, *each) for pid in darwin.pids() for each in darwin.listening(pid))
        yield from (each for each in found if port in (0, each.port))
    elif sockets := {link: each for link, each in _sockets() if port in (0, each.port)}:
        import glob

        for descriptor in glob.iglob("/proc/[0-9]*/fd/*"):
            with suppress(OSError):  # closed since it was listed
                if listener := sockets.get(os.readlink(descriptor)):
                    yield listener._replace(pid=int(descriptor.split("/")[2]))
        yield from sockets.values()


def _sockets() -> Iterator[tuple[str, Listener]]:
    """Yield every listening TCP socket from the tables of Linux, with what a descriptor of it points to."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table, encoding="ascii") as lines:
            for fields in map(str.split, lines):
                if fields[3] == _LISTEN:
                    address, _, port = fields[1].partition(":")
                    # Words of the processor, whose bytes are in the order of the network.
                    words = (int(address[place : place + 8], 16) for place in range(0, len(address), 8))
                    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
                    yield f"socket:[{fields[9]}]", Listener(0, int(port, 16), packed, int(fields[7]))
