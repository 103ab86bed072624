"""The watchdog: a second process that stops the services when the supervisor is killed.

It is forked before any service, holds its own lock, and reads the list of services from a socket. The end of file there
means that the supervisor was killed: a supervisor that has stopped its services kills the watchdog. This needs only
processes and sockets, so it works on Linux and macOS alike; it keeps the stop order, and reaches whole process groups.
"""

import json
import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress

from stigmer_launcher.errors import BusyError, LauncherError
from stigmer_launcher.supervise import child, leftovers, signals
from stigmer_launcher.supervise.state import ServiceSnapshot
from stigmer_launcher.system import locks

_READY_TIMEOUT = 5.0  # seconds


class Watchdog:
    """The supervisor's end. `start` also replaces a watchdog that was killed, and sends the list to the new one."""

    def __init__(self, lock: str, token: str) -> None:
        self._lock, self._token = lock, token
        self._services = b"[]\n"  # as JSON
        self._socket = socket.socket(socket.AF_UNIX)
        self._close()  # closed until `start`

    def start(self) -> None:
        """Fork the watchdog, and send it the list before it holds its lock. OSError or LimitError when it cannot."""
        self._close()
        self._socket, peer = socket.socketpair()
        with peer:
            self.pid = child.fork(lambda: _run_watchdog(peer, self._lock, self._token))
        self._send()

    def wait_until_ready(self) -> None:
        """Wait until the watchdog holds its lock, for which the next start waits; not for one that a signal has stopped."""
        self._socket.settimeout(_READY_TIMEOUT)
        try:
            has_ended = not self._socket.recv(1)
        except OSError as error:
            has_ended = not isinstance(error, TimeoutError)
        self.pid = 0 if has_ended else self.pid  # the event loop starts another one later: now it would end, too
        self._socket.settimeout(None)

    def watch(self, services: Iterable[ServiceSnapshot]) -> None:
        """Watch the processes of these services, and of no other."""
        self._services = json.dumps([*services]).encode() + b"\n"
        self._send()

    def stop(self) -> None:
        """Kill and reap the watchdog, once all services have stopped."""
        self._kill()
        if self.pid:
            os.waitpid(self.pid, 0)
        self._close()

    def _send(self) -> None:
        """Send the list without blocking; kill a watchdog that does not read, because a signal has stopped it."""
        sent = 0
        with suppress(OSError):
            sent = self._socket.send(self._services, socket.MSG_DONTWAIT)
        if sent < len(self._services):
            self._kill()

    def _kill(self) -> None:
        """Kill the watchdog, if there is one; `stop` or the event loop reaps it."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def _close(self) -> None:
        self.pid = 0
        self._socket.close()


def _run_watchdog(connection: socket.socket, lock: str, token: str) -> int:
    for signum in signals.STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    child.daemonize(os.devnull, connection.fileno())  # the supervisor's pipes must break when it dies
    with suppress(LauncherError):  # without a lock the next start does not wait, but the services are stopped
        locks.try_acquire(lock)  # until this process ends
    with suppress(OSError):  # the supervisor was killed already
        connection.send(b"!")
    with suppress(BusyError):  # the next command says so
        leftovers.stop_all(_last_services(connection), token)
    return 0


def _last_services(connection: socket.socket) -> list[ServiceSnapshot]:
    """Read lists until the supervisor dies, and return the last one."""
    services: list[ServiceSnapshot] = []
    with suppress(OSError), connection.makefile("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):  # the last one may be truncated
                services = [ServiceSnapshot(*each) for each in json.loads(line)]
    return services
