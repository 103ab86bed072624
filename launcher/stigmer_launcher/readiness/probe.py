"""Repeats checks over a non-blocking connection until they pass."""

from collections.abc import Generator, Iterable, Iterator

from stigmer_launcher.readiness.channel import Channel
from stigmer_launcher.readiness.checks import Check
from stigmer_launcher.readiness.grpc import Answers

# A pause between two rounds is a share of the time spent so far, with a minimum in seconds. Answering costs a service
# that is starting processor time; refusing a connection does not.
_ANSWERED, _REFUSED = (1 / 3, 0.02), (1 / 20, 0.004)
_LONGEST_PAUSE = 0.25  # seconds
# Seconds between two rounds after a service has printed something, and for how long.
_NUDGED_PAUSE, _NUDGED = 0.004, 0.1
_LONG, _PATIENT_PAUSE = 300.0, 5.0  # seconds after which no command waits any more, and the pause from then on
_TIMEOUT = 5.0  # seconds after which an unanswered round counts as lost
_UNPROBED = "not probed yet"


class Probe:
    """Runs several checks in order, each as soon as the one before has passed.

    The loop calls `advance` when the channel's descriptor is ready or `due` (monotonic seconds) has come;
    `not_ready_reason` says what the current check lacks. Probes take the processor from services that are starting, so
    they are frequent only after `nudge`, and Temporal is not asked about a server's queues before that server answers.
    """

    def __init__(self, checks: Iterable[tuple[str, Check]], now: float, timeout: float = _TIMEOUT) -> None:
        self.channel: Channel | None = None
        self.due, self.not_ready_reason = now, _UNPROBED
        self._now, self._timeout, self._nudged, self._pausing = now, timeout, 0.0, False
        self._steps = self._prove(checks, now)

    def nudge(self, now: float) -> None:
        """Probe soon, and more often for a while: the service has printed something, so it may have made progress."""
        self._nudged = now + _NUDGED
        if self._pausing:
            self.due = min(self.due, now + _NUDGED_PAUSE)

    def advance(self, now: float) -> bool:
        """Make progress without blocking; True once every check has passed."""
        self._now = now
        return next(self._steps, True)

    def close(self) -> None:
        """Close the connection, and forget what was asked over it."""
        if self.channel:
            self.channel.close()
        self.channel = None

    def _prove(self, checks: Iterable[tuple[str, Check]], began: float) -> Iterator[bool]:
        """Run the checks; yield False whenever the caller must wait."""
        for address, check in checks:
            self.not_ready_reason = _UNPROBED
            pause = 0.0
            while self.not_ready_reason:
                try:
                    yield from self._wait(pause)
                    self.not_ready_reason = check.judge((yield from self._round(address, check)))
                    pause = self._next_pause(self._now - began, *_ANSWERED)
                except OSError as error:
                    self.not_ready_reason = f"{address}: {error.strerror or error}"
                    pause = self._next_pause(self._now - began, *_REFUSED)
                    self.close()
            self.close()
            began = self._now

    def _round(self, address: str, check: Check) -> Generator[bool, None, Answers]:
        channel = self.channel = self.channel or Channel(address)
        channel.client.ask(check.questions)
        self.due = self._now + self._timeout
        while (answers := channel.advance(http2=check.http2)) is None:
            if self._now >= self.due:
                raise OSError("its name was not looked up in time" if channel.is_resolving else "no answer")
            yield False
        return answers

    def _wait(self, pause: float) -> Iterator[bool]:
        self.due, self._pausing = self._now + pause, True
        while self._now < self.due:
            yield False
            if self.channel:
                self.channel.advance()
        self._pausing = False

    def _next_pause(self, spent: float, share: float, shortest: float) -> float:
        """Return the pause before the next round: a share of the time spent, so short at first and longer later."""
        if self._now < self._nudged:
            return _NUDGED_PAUSE
        return min(max(spent * share, shortest), _LONGEST_PAUSE if spent < _LONG else _PATIENT_PAUSE)
