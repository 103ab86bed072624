"""Asks services over gRPC: a non-blocking connection, single calls, and checks that are repeated until they succeed."""

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

from stigmer_launcher.readiness.checks import Check
from stigmer_launcher.readiness.grpc import Answers, Client, ProtocolError, Question

_CHUNK = 65536
# A pause between two rounds is a part of the time it has taken so far, and not shorter than so many seconds. Answering
# costs a service that is starting processor time; refusing a connection does not.
_ANSWERED, _REFUSED = (1 / 3, 0.02), (1 / 20, 0.004)
_LONGEST_PAUSE = 0.25  # seconds
# Seconds between two rounds after a service has printed something, and for how long.
_NUDGED_PAUSE, _NUDGED = 0.004, 0.1
_LONG, _PATIENT_PAUSE = 300.0, 5.0  # seconds after which nobody waits any more, and the pause from then on
_TIMEOUT = 5.0  # seconds after which an unanswered round counts as lost
_UNASKED = "has not been asked yet"


class Channel:
    """A connection to `host:port`, made and used in turns: `advance` whenever `wanted` is possible on the descriptor."""

    def __init__(self, address: str) -> None:
        self.client = Client(address)
        self.looks_up = False  # whether the host's addresses are being looked up
        self._dialling = self._dial(address)
        next(self._dialling)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    @property
    def wanted(self) -> int:
        """Tell what to wait for, as poll's event mask."""
        return select.POLLIN | (select.POLLOUT if self.client.outgoing and not self.looks_up else 0)

    def advance(self, *, speak: bool = True) -> Answers | None:
        """Connect, receive and send as far as is possible now; return the answers once all have come.

        OSError when the connection cannot be made or is lost. Unless we `speak`, to be accepted is the answer.
        """
        if not next(self._dialling, True):
            return None
        if not speak:
            return []
        with suppress(BlockingIOError):
            while data := self._socket.recv(_CHUNK):
                self.client.receive(data)
            raise ProtocolError("the connection was closed")
        with suppress(BlockingIOError):
            while self.client.outgoing:
                sent = self._socket.send(self.client.outgoing)
                del self.client.outgoing[:sent]
        return self.client.answers

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _dial(self, address: str) -> Generator[bool, None, None]:
        """Connect to the first of the host's addresses that accepts; yield False whenever that has to be waited for."""
        try:
            candidates = _resolve(address, socket.AI_NUMERICHOST)
        except socket.gaierror:  # it is a name
            candidates = yield from self._look_up(address)
        for family, kind, _, _, place in candidates:
            try:
                self._socket = socket.socket(family, kind)
            except OSError as unsupported:  # where IPv6 is turned off, a name may still stand for such an address
                error = unsupported.errno or 0
                continue
            self._socket.setblocking(False)
            # Send small requests at once instead of collecting them (Nagle's algorithm).
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            error = self._socket.connect_ex(place)
            while error in (0, errno.EINPROGRESS):
                yield False
                error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                with suppress(OSError):  # the connection is still being made, or it has failed
                    if self._socket.getpeername() != self._socket.getsockname():
                        return
                    error = errno.ECONNREFUSED  # TCP allows one to itself, on a port that nobody listens on
            self._socket.close()
        raise OSError(error, f"cannot connect: {os.strerror(error)}")

    def _look_up(self, address: str) -> Generator[bool, None, list[Any]]:
        """Resolve a name in a thread, since getaddrinfo(3) has no deadline; its end makes the socket readable."""
        answer: list[Any] = []  # one, the addresses or the error
        self._socket, waker = socket.socketpair()

        def run() -> None:
            with waker:
                try:
                    answer.append(_resolve(address))
                except OSError as error:
                    answer.append(error)

        try:
            threading.Thread(target=run, daemon=True).start()
        except RuntimeError as error:  # there is no room for a thread
            self._socket.close()
            waker.close()
            raise OSError(errno.EAGAIN, str(error)) from error
        self.looks_up = True
        while not answer:
            yield False
        self.looks_up = False
        self._socket.close()
        if isinstance(answer[0], OSError):
            raise answer[0]
        return list(answer[0])


class Probe:
    """Asks for several proofs in their order, the next one as soon as the one before holds.

    The loop calls `advance` when the channel's descriptor is ready or `due` (monotonic seconds) has come;
    `not_ready_reason` says why there is no proof yet. Asking takes the processor from those that are starting, so it is
    done often only after `nudge`, and Temporal is not asked about a server's queues before that server answers.
    """

    def __init__(self, checks: Iterable[tuple[str, Check]], now: float, timeout: float = _TIMEOUT) -> None:
        self.channel: Channel | None = None
        self.due, self.not_ready_reason = now, _UNASKED
        self._now, self._timeout, self._nudged, self._pausing = now, timeout, 0.0, False
        self._steps = self._prove(checks, now)

    def nudge(self, now: float) -> None:
        """Probe soon, and more often for a while: the service has printed something, so it made progress."""
        self._nudged = now + _NUDGED
        if self._pausing:
            self.due = min(self.due, now + _NUDGED_PAUSE)

    def advance(self, now: float) -> bool:
        """Make progress without blocking; True once every proof has held."""
        self._now = now
        return next(self._steps, True)

    def close(self) -> None:
        """Close the connection, and forget what was asked over it."""
        if self.channel:
            self.channel.close()
        self.channel = None

    def _prove(self, checks: Iterable[tuple[str, Check]], began: float) -> Iterator[bool]:
        """Go through the proofs; yield False whenever there is something to wait for."""
        for address, check in checks:
            self.not_ready_reason, pause = _UNASKED, 0.0
            while self.not_ready_reason:
                try:
                    yield from self._rest(pause)
                    self.not_ready_reason = check.judge((yield from self._round(address, check)))
                    pause = self._pause(self._now - began, *_ANSWERED)
                except OSError as error:
                    self.not_ready_reason = f"{address}: {error.strerror or error}"
                    pause = self._pause(self._now - began, *_REFUSED)
                    self.close()
            self.close()
            began = self._now

    def _round(self, address: str, check: Check) -> Generator[bool, None, Answers]:
        channel = self.channel = self.channel or Channel(address)
        channel.client.ask(check.questions)
        self.due = self._now + self._timeout
        while (answers := channel.advance(speak=check.spoken)) is None:
            if self._now >= self.due:
                raise OSError("its name was not looked up in time" if channel.looks_up else "no answer")
            yield False
        return answers

    def _rest(self, pause: float) -> Iterator[bool]:
        self.due, self._pausing = self._now + pause, True
        while self._now < self.due:
            yield False
            if self.channel:
                self.channel.advance()
        self._pausing = False

    def _pause(self, spent: float, share: float, shortest: float) -> float:
        """Return a fraction of the time since the start: the pauses are short at first and longer later."""
        if self._now < self._nudged:
            return _NUDGED_PAUSE
        return min(max(spent * share, shortest), _LONGEST_PAUSE if spent < _LONG else _PATIENT_PAUSE)


def ask(address: str, questions: Sequence[Question], seconds: float) -> Answers:
    """Make unary calls over a connection of their own and wait for the answers; TimeoutError when it takes too long."""
    deadline = time.monotonic() + seconds
    with closing(Channel(address)) as channel:
        channel.client.ask(questions, seconds)
        while (answers := channel.advance()) is None:
            waiting = select.poll()  # another address means another descriptor
            waiting.register(channel.fileno(), channel.wanted)
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise TimeoutError(f"{address} did not answer within {seconds:g} s")
        return answers


def _resolve(address: str, flags: int = 0) -> list[Any]:
    """Return what an address stands for, as arguments of a socket; OSError when the host is not known."""
    host, _, port = address.rpartition(":")
    # Bytes, so that no codec for host names is imported in a process whose keg may be gone.
    return socket.getaddrinfo(host.strip("[]").encode(), int(port), type=socket.SOCK_STREAM, flags=flags)
