"""Ports: whether one is free for us, and who has it otherwise. Reads the kernel's own tables, starts nothing."""

import errno
import os
import sys

from stigmer_launcher.quietly import suppress
from stigmer_launcher.typed import Iterator, NamedTuple

_LISTEN = "0A"  # the state's number in /proc/net/tcp, hexadecimal
# Tried, never listened on. On Linux the last alone, when it stands for IPv4 as well, meets a listener on any address
# (inet_csk_bind_conflict); macOS lets a wildcard in beside a single address.
_ADDRESSES = (("127.0.0.1", False), ("0.0.0.0", False), ("::1", True), ("::", True))  # noqa: S104


class Owner(NamedTuple):
    """The process that listens on a port. The pid is 0 when it belongs to another user, whom `name` then names."""

    pid: int
    name: str


def is_free(port: int) -> bool:
    """Tell whether a service of ours could listen on `port`, and whether `localhost` would lead to it and nobody else."""
    if sys.platform.startswith("linux") and _bind("::", port, six=True, both=True) == 0:
        return True
    return all(_bind(address, port, six=six) != errno.EADDRINUSE for address, six in _ADDRESSES)


def port_owner(port: int) -> Owner | None:
    """Find who listens on a TCP port of this machine, on any address; None when nobody is found."""
    if sys.platform == "darwin":
        from stigmer_launcher import darwin

        pid = darwin.listener(port)
        return Owner(pid, darwin.process_name(pid)) if pid else None
    else:  # noqa: RET505 - a type checker looks at one of the two branches, by its platform
        return _owner_on_linux(port)


def _owner_on_linux(port: int) -> Owner | None:
    listeners = dict(_listeners(port))
    if not listeners:
        return None
    pid = _holder_of({f"socket:[{inode}]" for inode in listeners})
    return Owner(pid, _name(pid)) if pid else Owner(0, f"a process of {_user(next(iter(listeners.values())))}")


def _bind(address: str, port: int, *, six: bool, both: bool = False) -> int | None:
    """Bind for a moment and give the error's number, 0 when it succeeds; `both` takes IPv4's addresses in."""
    import _socket  # the bare module: `socket` costs 12 ms for its enumerations

    try:
        probe = _socket.socket(_socket.AF_INET6 if six else _socket.AF_INET, _socket.SOCK_STREAM)
    except OSError as error:
        return error.errno  # this machine has no such family
    try:
        if six:
            probe.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, int(not both))
        probe.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
    except OSError as error:
        return error.errno
    else:
        return 0
    finally:
        probe.close()


def _listeners(port: int) -> Iterator[tuple[str, int]]:
    """Yield the inode and the owner's uid of each listening socket on `port`."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table, encoding="ascii") as lines:
            next(lines, None)
            for line in lines:
                fields = line.split()
                if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9], int(fields[7])


def _holder_of(sockets: set[str]) -> int:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):  # closed since it was listed
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") in sockets:
                        return int(pid)
    return 0


def _name(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
        if program := stream.read().partition("\0")[0]:
            return os.path.basename(program)
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
        return stream.read().strip()
    return ""


def _user(uid: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
