"""The watchdog: a second process that stops the services when the supervisor is killed.

It is forked before any service, holds its own lock, and reads the list of services from a pipe. A farewell message means
that the supervisor stopped them itself; end of file without one means that it died. It needs nothing of the system but
processes and pipes, so it works on Linux and macOS alike, keeps the stop order, and reaches whole process groups.
"""

import os
import signal
from contextlib import suppress
from typing import NoReturn

from stigmer_launcher.supervise.child import close_all_but, fork
from stigmer_launcher.supervise.leftovers import end_members
from stigmer_launcher.supervise.state import Member
from stigmer_launcher.system import locks

_FAREWELL = b"."


class Watchdog:
    """The supervisor's side. When the watchdog is killed, `start` another one: it receives all members again."""

    def __init__(self, lock: str, token: str) -> None:
        self.pid = 0
        self._lock, self._token = lock, token
        self._pipe = self._ready = -1
        self._roster: dict[int, Member] = {}

    def start(self) -> None:
        """Fork the watchdog; it learns of every member, even before it holds its lock. OSError when there is no room."""
        self._close()
        ours = os.pipe()
        try:
            its = os.pipe()
        except OSError:
            os.close(ours[0])
            os.close(ours[1])
            raise
        self._pipe, self._ready, self.pid = ours[1], its[0], 0
        try:
            self.pid = fork(lambda: _run_watchdog(ours[0], its[1], self._lock, self._token))
        finally:
            os.close(ours[0])
            os.close(its[1])
        for member in self._roster.values():
            self._send(_entry(member))

    def wait_until_ready(self) -> None:
        """Wait until it holds its lock, which the next start waits for."""
        if self._ready >= 0:
            os.read(self._ready, 1)
            os.close(self._ready)
            self._ready = -1

    def add(self, member: Member) -> None:
        """Add a service's process."""
        self._roster[member.pid] = member
        self._send(_entry(member))

    def remove(self, pid: int) -> None:
        """Remove a process that has ended."""
        if self._roster.pop(pid, None):
            self._send(f"- {pid}\n".encode())

    def dismiss(self) -> None:
        """End the watchdog: there is nothing left to watch."""
        self._send(_FAREWELL)
        self._close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self.pid = 0

    def _send(self, message: bytes) -> None:
        with suppress(OSError):  # a dead watchdog is replaced when its end is noticed
            os.write(self._pipe, message)

    def _close(self) -> None:
        for descriptor in (self._pipe, self._ready):
            if descriptor >= 0:
                os.close(descriptor)
        self._pipe = self._ready = -1


def _run_watchdog(pipe: int, ready: int, lock: str, token: str) -> NoReturn:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    close_all_but(pipe, ready)  # the supervisor's pipes must break when it dies
    held = locks.hold(lock)
    with suppress(BrokenPipeError):  # the supervisor was killed before it heard of us: there is work
        os.write(ready, b"!")
    os.close(ready)
    _watch(pipe, token)
    if held:
        held.release()
    os._exit(0)


def _watch(pipe: int, token: str) -> None:
    roster: dict[int, Member] = {}
    pending = b""
    while data := os.read(pipe, 4096):
        pending += data
        *lines, pending = pending.split(b"\n")
        for line in lines:
            _note(roster, line.decode())
        if pending == _FAREWELL:
            return
    end_members(roster.values(), token)


def _entry(member: Member) -> bytes:
    return f"+ {member.pid} {member.identity} {member.stop_order} {member.grace}\n".encode()


def _note(roster: dict[int, Member], line: str) -> None:
    """Take in `+ pid identity stop-order grace` or `- pid`."""
    sign, pid, *rest = line.split(" ")
    if sign == "+":
        identity, order, grace = rest
        roster[int(pid)] = Member(int(pid), identity, int(order), float(grace))
    else:
        roster.pop(int(pid), None)
