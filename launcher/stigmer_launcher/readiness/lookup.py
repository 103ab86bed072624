"""Looks up the addresses of a host in a thread: getaddrinfo(3) has no deadline, and must not hold up an event loop."""

import errno
import os
import socket
import threading
from typing import Any

from stigmer_launcher.readiness.address import Address


def addresses(address: Address, flags: int = 0) -> list[Any]:
    """Return what a host stands for, as arguments of a socket; OSError when it is not known."""
    # Bytes, so that no codec for host names is imported in a process whose keg may be gone.
    return socket.getaddrinfo(address.host.encode(), address.port, type=socket.SOCK_STREAM, flags=flags)


class Lookup:
    """A look-up under way; `fileno` is readable once it is `done`."""

    def __init__(self, address: Address) -> None:
        self.done = False
        self._address = address
        self._found: list[Any] = []
        self._error: OSError | None = None
        self._reader, self._writer = os.pipe()
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError as error:  # there is no room for a thread
            os.close(self._writer)
            os.close(self._reader)
            raise OSError(errno.EAGAIN, str(error)) from error

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._reader

    def result(self) -> list[Any]:
        """Return the addresses; OSError when there are none."""
        if self._error:
            raise self._error
        return self._found

    def close(self) -> None:
        """Wait no longer; the thread ends when the system has answered."""
        os.close(self._reader)

    def _run(self) -> None:
        try:
            self._found = addresses(self._address)
        except OSError as error:
            self._error = error
        self.done = True
        os.close(self._writer)
