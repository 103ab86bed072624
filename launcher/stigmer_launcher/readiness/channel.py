"""A gRPC connection over a non-blocking socket, for the supervisor's event loop and for single blocking calls."""

import errno
import os
import select
import socket
import threading
import time
from typing import Any

from stigmer_launcher.readiness.address import Address
from stigmer_launcher.readiness.grpc import Client, ProtocolError, Reply

_CHUNK = 65536


class Channel:
    """A connection that is made and used in turns: `advance` whenever `wanted` is possible on the descriptor."""

    def __init__(self, address: Address) -> None:
        self.client = Client(str(address))
        self._connected = False
        self._lookup: _Lookup | None = None
        try:
            self._candidates = _addresses(address, socket.AI_NUMERICHOST)
        except socket.gaierror:  # it is a name
            self._lookup = _Lookup(address)
        else:
            self._connect()

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return (self._lookup or self._socket).fileno()

    @property
    def wanted(self) -> int:
        """Tell what to wait for, as poll's event mask."""
        return select.POLLIN | (select.POLLOUT if self.client.outgoing and not self._lookup else 0)

    @property
    def looks_up(self) -> bool:
        """Return whether the host's addresses are not known yet."""
        return self._lookup is not None

    @property
    def connected(self) -> bool:
        """Return whether somebody has accepted the connection; OSError when it cannot be made."""
        if not self._is_looked_up():
            return False
        self._require_possible()
        try:
            peer = self._socket.getpeername()
        except OSError:  # it is still being made
            return False
        if peer == self._socket.getsockname():  # TCP allows this on a port that nobody listens on
            raise OSError("connected to itself")
        return True

    def advance(self) -> list[Reply]:
        """Send and receive what is possible now; OSError when the connection cannot be made or is lost."""
        if not self._is_looked_up():
            return []
        if not self._connected:
            self._require_possible()
        replies = self._receive()
        self._send()
        return replies

    def close(self) -> None:
        """Close the connection."""
        (self._lookup or self._socket).close()

    def _is_looked_up(self) -> bool:
        """Begin to connect when the host's addresses have become known; OSError when there are none."""
        if self._lookup and self._lookup.done:
            self._candidates = self._lookup.result()
            self._lookup.close()
            self._lookup = None
            self._connect()
        return self._lookup is None

    def _connect(self) -> None:
        """Begin to connect to the next address that the host's name stands for."""
        family, kind, _, _, place = self._candidates.pop(0)
        self._socket = socket.socket(family, kind)
        self._socket.setblocking(False)
        # Send small requests at once instead of collecting them (Nagle's algorithm).
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        refused = self._socket.connect_ex(place)
        self._refused = 0 if refused == errno.EINPROGRESS else refused

    def _require_possible(self) -> None:
        while error := self._refused or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            if not self._candidates:
                raise OSError(error, "cannot connect")
            self._socket.close()
            self._connect()

    def _send(self) -> None:
        try:
            while self.client.outgoing:
                sent = self._socket.send(self.client.outgoing)
                self._connected = True
                del self.client.outgoing[:sent]
        except BlockingIOError:
            pass

    def _receive(self) -> list[Reply]:
        replies: list[Reply] = []
        try:
            while True:
                data = self._socket.recv(_CHUNK)
                if not data:
                    raise ProtocolError("the connection was closed")
                replies += self.client.receive(data)
        except BlockingIOError:
            return replies


def call(address: Address, method: str, message: bytes, seconds: float) -> Reply:
    """Make one unary call and wait for how it ends; TimeoutError when there is no answer in time."""
    deadline = time.monotonic() + seconds
    channel = Channel(address)
    try:
        number = channel.client.call(method, message, seconds)
        while True:
            waiting = select.poll()  # another address means another descriptor
            waiting.register(channel.fileno(), channel.wanted)
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise TimeoutError(f"{address} did not answer within {seconds:g} s")
            for reply in channel.advance():
                if reply.call == number:
                    return reply
    finally:
        channel.close()


class _Lookup:
    """A look-up under way in a thread, since getaddrinfo(3) has no deadline; `fileno` is readable once it is `done`."""

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
            self._found = _addresses(self._address)
        except OSError as error:
            self._error = error
        self.done = True
        os.close(self._writer)


def _addresses(address: Address, flags: int = 0) -> list[Any]:
    """Return what a host stands for, as arguments of a socket; OSError when it is not known."""
    # Bytes, so that no codec for host names is imported in a process whose keg may be gone.
    return socket.getaddrinfo(address.host.encode(), address.port, type=socket.SOCK_STREAM, flags=flags)
