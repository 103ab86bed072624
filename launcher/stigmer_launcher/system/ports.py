"""Finds out whether ports are free, by binding them, and who listens on them, from the tables of the kernel."""

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

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
_WILDCARD = "0.0.0.0"  # noqa: S104 - only bound; on macOS it needs no privilege, and conflicts with other wildcards alone
_ADDRESSES = (_WILDCARD, "127.0.0.1", "::1", "::")
_MAPPED = bytes(10) + b"\xff\xff"  # the prefix of IPv4-mapped IPv6 addresses
_IPV6_LOOPBACK = bytes(15) + b"\1"
_POLL_INTERVAL = 0.01  # seconds
_EXIT_SECONDS = 10.0  # a process that was killed holds its ports until its last thread has ended


class Listener(NamedTuple):
    """A process that listens on a TCP port, and the packed address; pid 0 means an unknown process of user `uid`."""

    pid: int
    port: int
    address: bytes
    uid: int = 0

    @property
    def name(self) -> str:
        """Return the name of the process's program, or of its user when the process is not known."""
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


def _bind_error(address: str, port: int) -> int | None:
    """Return why this user cannot bind the port of an address; None also where the machine has no such address."""
    import socket

    is_ipv6 = ":" in address
    try:
        with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM) as probe:
            if is_ipv6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        is_obstacle = error.errno == errno.EADDRINUSE or (error.errno == errno.EACCES and address == _WILDCARD)
        return error.errno if is_obstacle else None
    return None


def require_free(ports: Mapping[str, int]) -> None:
    """Raise PortError when one of these ports is taken, by a process that the error names, or needs a privilege."""
    for name, number in ports.items():
        errors = {_bind_error(address, number) for address in _ADDRESSES}
        if errors == {None}:
            continue
        remedy = f"use another port: `stigmer server --port {name}=NUMBER`, for good with `stigmer config set ports.{name} NUMBER`"
        if errno.EACCES in errors:
            raise PortError(f"no permission to listen on port {number} ({name})", remedy)
        owner = port_owner(number)
        by = f" by {owner.name}" if owner else ""
        pid = f" (process {owner.pid})" if owner and owner.pid else ""
        raise PortError(f"port {number} ({name}) is taken{by}{pid}", f"stop that process, or {remedy}")


def await_free(ports: Mapping[str, int], pause: Callable[[float], object] = time.sleep) -> None:
    """Wait until processes that have ended release these ports; PortError when a living process has one."""
    deadline = time.monotonic() + _EXIT_SECONDS
    while True:
        try:
            return require_free(ports)
        except PortError:
            # A process that has ended is not found, or has no identity.
            owners = map(port_owner, ports.values())
            if time.monotonic() > deadline or any(owner and process.identity(owner.pid) for owner in owners):
                raise
        pause(_POLL_INTERVAL)


def port_owner(port: int) -> Listener | None:
    """Find the process that listens on a TCP port of this machine, on any address; None when none is found."""
    return next(_listeners(port), None)


def exposed_listeners(is_wanted: Callable[[int], bool]) -> list[Listener]:
    """List one listener per port that other machines can reach, of the processes whose pid `is_wanted`."""
    listeners = (each for each in _listeners() if is_wanted(each.pid) and not is_loopback(each.address))
    return list({each.port: each for each in listeners}.values())


def is_loopback(address: bytes) -> bool:
    """Return whether a packed address is a loopback address, which only this machine reaches."""
    ipv4 = address.removeprefix(_MAPPED)
    return ipv4[0] == 127 if len(ipv4) == 4 else address == _IPV6_LOOPBACK


def _listeners(port: int = 0) -> Iterator[Listener]:
    """Yield the listeners on a port, or on any."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        found = (Listener(pid, *each) for pid in darwin.pids() for each in darwin.listening(pid))
        return (each for each in found if port in (0, each.port))
    return _linux_listeners(port)


def _linux_listeners(port: int) -> Iterator[Listener]:
    """Yield the processes of each socket, then each socket again with pid 0: the processes of other users are hidden."""
    import glob

    sockets = {link: each for link, each in _linux_sockets() if port in (0, each.port)}
    for descriptor in glob.iglob("/proc/[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):  # closed since it was listed
            if listener := sockets.get(os.readlink(descriptor)):
                yield listener._replace(pid=int(descriptor.split("/")[2]))
    yield from sockets.values()


def _linux_sockets() -> Iterator[tuple[str, Listener]]:
    """Yield each listening TCP socket in Linux's tables, after the target of the links to it in /proc/PID/fd."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table, encoding="ascii") as lines:
            for fields in map(str.split, lines):
                if fields[3] == _LISTEN:
                    address, _, port = fields[1].partition(":")
                    # Words in host byte order, whose bytes are in network order.
                    words = (int(address[index : index + 8], 16) for index in range(0, len(address), 8))
                    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
                    yield f"socket:[{fields[9]}]", Listener(0, int(port, 16), packed, int(fields[7]))
