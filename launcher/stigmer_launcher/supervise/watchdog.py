"""The watchdog: a second process that stops the services when the supervisor is killed.

It is forked before any service, holds its own lock, and reads the list of services from a socket, whose end means that the
supervisor died: one that has stopped its services itself kills the watchdog. It needs nothing of the system but
processes and sockets, so it works on Linux and macOS alike, keeps the stop order, and reaches whole process groups.
"""

import json
import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress

from stigmer_launcher.supervise import child, leftovers, signals
from stigmer_launcher.supervise.state import ServiceSnapshot
from stigmer_launcher.system import locks


class Watchdog:
    """The supervisor's side. When the watchdog is killed, `start` another one: it receives all members again."""

    def __init__(self, lock: str, token: str) -> None:
        self._lock, self._token = lock, token
        self._members = b"[]\n"  # as JSON
        self._socket = socket.socket(socket.AF_UNIX)
        self._close()  # there is nobody to talk to until `start`

    def start(self) -> None:
        """Fork the watchdog; it learns of the services even before it holds its lock. OSError when there is no room."""
        self._close()
        self._socket, its = socket.socketpair()
        with its:
            self.pid = child.fork(lambda: _run_watchdog(its, self._lock, self._token))
        self._send_members()

    def wait_until_ready(self) -> None:
        """Wait until it holds its lock, which the next start waits for."""
        with suppress(OSError):  # as in `_send_members`
            self._socket.recv(1)

    def watch(self, members: Iterable[ServiceSnapshot]) -> None:
        """Watch the processes of these services, and of no other."""
        self._members = json.dumps([*members]).encode() + b"\n"
        self._send_members()

    def dismiss(self) -> None:
        """End the watchdog: there is nothing left to watch."""
        self._kill()
        if self.pid:
            os.waitpid(self.pid, 0)
        self._close()

    def _send_members(self) -> None:
        """Send all members; a watchdog that does not read, because it is stopped, must not stop its supervisor."""
        sent = 0
        with suppress(OSError):
            sent = self._socket.send(self._members, socket.MSG_DONTWAIT)
        if sent < len(self._members):
            self._kill()

    def _kill(self) -> None:
        """Kill the watchdog, if there is one: it is replaced when its end is noticed, and not reaped before."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def _close(self) -> None:
        self.pid = 0
        self._socket.close()


def _run_watchdog(supervisor: socket.socket, lock: str, token: str) -> int:
    for number in signals.TO_STOP:
        signal.signal(number, signal.SIG_IGN)
    child.daemonize(os.devnull, supervisor.fileno())  # the supervisor's pipes must break when it dies
    locks.try_acquire(lock)  # until this process ends
    with suppress(OSError):  # the supervisor was killed before it heard of us: there is work
        supervisor.send(b"!")
    leftovers.end_members(_last_members(supervisor), token)
    return 0


def _last_members(supervisor: socket.socket) -> list[ServiceSnapshot]:
    """Return the members that were left when the supervisor died."""
    members: list[ServiceSnapshot] = []
    with suppress(OSError), supervisor.makefile("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):  # the last one may be cut
                members = [ServiceSnapshot(*each) for each in json.loads(line)]
    return members
