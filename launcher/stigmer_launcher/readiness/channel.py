"""A gRPC connection over a non-blocking socket, for the supervisor's event loop, and a blocking call that uses it."""

import errno
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from typing import Any

from stigmer_launcher.readiness.grpc import Answers, Client, ProtocolError, Question

_CHUNK = 65536  # bytes per recv(2)


class Channel:
    """A connection to `host:port`. The caller waits until the descriptor is ready for `wanted`, then calls `advance`."""

    def __init__(self, address: str) -> None:
        self.client = Client(address)
        self.is_resolving = False  # whether the host's name is being looked up
        self._dialling = self._dial(address)
        next(self._dialling)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    @property
    def wanted(self) -> int:
        """Return the event mask for poll(2)."""
        return select.POLLIN | (select.POLLOUT if self.client.outgoing and not self.is_resolving else 0)

    def advance(self, *, http2: bool = True) -> Answers | None:
        """Connect, receive and send without blocking; return the answers once all have come.

        OSError when the connection cannot be made or is lost. Without `http2`, an accepted connection is enough.
        """
        if not next(self._dialling, True):
            return None
        if not http2:
            return []
        with suppress(BlockingIOError):
            if not (data := self._socket.recv(_CHUNK)):  # once: a server may send without end
                raise ProtocolError("the connection was closed")
            self.client.receive(data)
        with suppress(BlockingIOError):
            while self.client.outgoing:
                sent = self._socket.send(self.client.outgoing)
                del self.client.outgoing[:sent]
        return self.client.answers

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _dial(self, address: str) -> Generator[bool, None, None]:
        """Connect to the first of the host's addresses that accepts; yield False whenever the caller must wait."""
        try:
            candidates = _resolve(address, socket.AI_NUMERICHOST)
        except socket.gaierror:  # it is a name
            candidates = yield from self._resolve_name(address)
        for family, kind, _, _, socket_address in candidates:
            try:
                self._socket = socket.socket(family, kind)
            except OSError as unsupported:  # where IPv6 is turned off, a name may still resolve to such an address
                error = unsupported.errno or 0
                continue
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # send small requests at once
            error = self._socket.connect_ex(socket_address)
            while error in (0, errno.EINPROGRESS):
                yield False
                error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                with suppress(OSError):  # the connection is still being made, or it has failed
                    if self._socket.getpeername() != self._socket.getsockname():
                        return
                    error = errno.ECONNREFUSED  # TCP lets a socket connect to itself on a port without a listener
            self._socket.close()
        raise OSError(error, f"cannot connect: {os.strerror(error)}")

    def _resolve_name(self, address: str) -> Generator[bool, None, list[Any]]:
        """Resolve a name in a thread, since getaddrinfo(3) has no timeout; the thread's end makes the socket readable."""
        answer: list[Any] = []  # one item: the addresses or the error
        self._socket, waker = socket.socketpair()

        def run() -> None:
            with waker:
                try:
                    answer.append(_resolve(address))
                except OSError as error:
                    answer.append(error)

        try:
            threading.Thread(target=run, daemon=True).start()
        except RuntimeError as error:  # the system allows no further thread
            self._socket.close()
            waker.close()
            raise OSError(errno.EAGAIN, str(error)) from error
        self.is_resolving = True
        while not answer:
            yield False
        self.is_resolving = False
        self._socket.close()
        if isinstance(answer[0], OSError):
            raise answer[0]
        return list(answer[0])


def ask(address: str, questions: Sequence[Question], seconds: float) -> Answers:
    """Make unary calls over a new connection and wait for the answers; TimeoutError after `seconds`, OSError if it fails."""
    deadline = time.monotonic() + seconds
    with closing(Channel(address)) as channel:
        channel.client.ask(questions, seconds)
        while (answers := channel.advance()) is None:
            waiting = select.poll()  # anew each time: another address of the host means another descriptor
            waiting.register(channel.fileno(), channel.wanted)
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise TimeoutError(f"{address} did not answer within {seconds:g} s")
        return answers


def _resolve(address: str, flags: int = 0, family: int = socket.AF_UNSPEC) -> list[Any]:
    """Resolve `host:port` by getaddrinfo(3); OSError when the host is unknown."""
    host, _, port = address.rpartition(":")
    if sys.platform == "darwin" and not flags:  # else getaddrinfo(3) uses libnetwork, which crashes a forked process
        with suppress(socket.gaierror):
            return _resolve(address, socket.AI_PASSIVE, socket.AF_INET)
        flags, family = socket.AI_PASSIVE, socket.AF_INET6
    # Bytes, so that no codec for host names is imported in a process whose keg may be gone.
    return socket.getaddrinfo(host.strip("[]").encode(), int(port), family, socket.SOCK_STREAM, flags=flags)
