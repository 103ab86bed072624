"""The watchdog: a second process that stops the services when the supervisor is killed.

It is forked before any service, holds its own lock, and reads the list of services from a socket. A farewell message means
that the supervisor stopped them itself; end of file without one means that it died. It needs nothing of the system but
processes and sockets, so it works on Linux and macOS alike, keeps the stop order, and reaches whole process groups.
"""

import json
import os
import signal
import socket
from contextlib import suppress
from typing import NoReturn

from stigmer_launcher.supervise.child import fork, leave_terminal
from stigmer_launcher.supervise.leftovers import end_members
from stigmer_launcher.supervise.state import Member
from stigmer_launcher.system import locks

_FAREWELL = b".\n"


class Watchdog:
    """The supervisor's side. When the watchdog is killed, `start` another one: it receives all members again."""

    def __init__(self, lock: str, token: str) -> None:
        self.pid = 0
        self._lock, self._token = lock, token
        self._socket: socket.socket | None = None
        self._roster: dict[int, Member] = {}

    def start(self) -> None:
        """Fork the watchdog; it learns of every member, even before it holds its lock. OSError when there is no room."""
        self._close()
        self._socket, its = socket.socketpair()
        with its:
            self.pid = fork(lambda: _run_watchdog(its, self._lock, self._token))
        self._send_roster()

    def wait_until_ready(self) -> None:
        """Wait until it holds its lock, which the next start waits for."""
        with suppress(OSError):  # as in `_send`
            if self._socket:
                self._socket.recv(1)

    def add(self, member: Member) -> None:
        """Add a service's process."""
        self._roster[member.pid] = member
        self._send_roster()

    def remove(self, pid: int) -> None:
        """Remove a process that has ended."""
        if self._roster.pop(pid, None):
            self._send_roster()

    def dismiss(self) -> None:
        """End the watchdog: there is nothing left to watch."""
        self._send(_FAREWELL)
        if self.pid:  # there is none when there was no room to replace one
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        self._close()

    def _send_roster(self) -> None:
        self._send(json.dumps([*self._roster.values()]).encode() + b"\n")

    def _send(self, message: bytes) -> None:
        with suppress(OSError):  # a dead watchdog is replaced when its end is noticed
            if self._socket:
                self._socket.sendall(message)

    def _close(self) -> None:
        self.pid = 0
        if self._socket:
            self._socket.close()


def _run_watchdog(supervisor: socket.socket, lock: str, token: str) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leave_terminal(os.devnull, supervisor.fileno())  # the supervisor's pipes must break when it dies
    held = locks.hold(lock)
    with suppress(OSError):  # the supervisor was killed before it heard of us: there is work
        supervisor.send(b"!")
    if (members := _last_members(supervisor)) is not None:
        end_members(members, token)
    if held:
        held.release()
    os._exit(0)


def _last_members(supervisor: socket.socket) -> list[Member] | None:
    """Return the members that were left when the supervisor died; None when it says farewell."""
    members: list[Member] = []
    with suppress(OSError), supervisor.makefile("rb") as lines:
        for line in lines:
            if line == _FAREWELL:
                return None
            if line.endswith(b"\n"):  # the last one may be cut
                members = [Member(*each) for each in json.loads(line)]
    return members
