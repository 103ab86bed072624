"""Repeats the requests of checks over a non-blocking connection until they succeed."""

from collections.abc import Sequence

from stigmer_launcher.readiness.address import Address
from stigmer_launcher.readiness.channel import Channel
from stigmer_launcher.readiness.checks import Check

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25  # seconds between two rounds
# Answering costs a service that is starting processor time; refusing a connection does not.
_CONNECT_PAUSE = 0.004  # seconds
_SHARE, _CONNECT_SHARE = 3, 20  # a pause is this part of the time it has taken so far: a third, a twentieth
# Seconds between two rounds after a service has printed something, and for how long.
_NUDGED_PAUSE, _NUDGED = 0.004, 0.1
_LONG, _PATIENT_PAUSE = 300.0, 5.0  # seconds after which nobody waits any more, and the pause from then on
_TIMEOUT = 5.0  # seconds after which an unanswered round counts as lost


class Probe:
    """Asks for several proofs in their order, the next one as soon as the one before holds.

    The loop calls `advance` when the channel's descriptor is ready or `due` (monotonic seconds) has come;
    `not_ready_reason` says why there is no proof yet. Asking takes the processor from those that are starting, so it is
    done often only after `nudge`, and Temporal is not asked about a server's queues before that server answers.
    """

    def __init__(self, checks: Sequence[tuple[Address, Check]], now: float, timeout: float = _TIMEOUT) -> None:
        self.channel: Channel | None = None
        self._checks, self._timeout = list(checks), timeout
        self._open: dict[int, int] = {}
        self._answers: list[bytes | None] = []
        self.due, self._pausing, self._nudged = now, False, 0.0
        self._begin(now)

    def nudge(self, now: float) -> None:
        """Probe soon, and more often for a while: the service has printed something, so it made progress."""
        self._nudged = now + _NUDGED
        if self._pausing:
            self.due = min(self.due, now + _NUDGED_PAUSE)

    def advance(self, now: float) -> bool:
        """Make progress without blocking; True once every proof has held."""
        try:
            while self._exchange(now):
                self.close()
                if not self._checks:
                    return True
                self._begin(now)
        except OSError as error:
            self.not_ready_reason = f"{self._address}: {error.strerror or error}"
            self.close()
            self._rest(now, _CONNECT_PAUSE, _CONNECT_SHARE)
        return False

    def close(self) -> None:
        """Close the connection, and forget what was asked over it."""
        if self.channel:
            self.channel.close()
        self.channel, self._open, self._answers = None, {}, []

    def _begin(self, now: float) -> None:
        """Turn to the next proof."""
        self._address, self._check = self._checks.pop(0)
        self._began = now
        self.due, self._pausing = now, False
        self.not_ready_reason = "has not been asked yet"

    def _exchange(self, now: float) -> bool:
        if self.channel is None:
            self.channel, self.due, self._pausing = Channel(self._address), now + self._timeout, False
            return False
        if not self._check.spoken:
            return self._knock(self.channel, now)
        for reply in self.channel.advance():
            self._answers[self._open.pop(reply.call)] = reply.message
        if self._open or not self.channel.client.greeted:
            return self._await_answer(self.channel, now)
        if self._answers or not self._check.questions:
            return self._conclude(now)
        if not self._pausing or now >= self.due:
            self._ask(self.channel, now)
        return False

    def _knock(self, channel: Channel, now: float) -> bool:
        return self._conclude(now) if channel.connected else self._await_answer(channel, now)

    def _await_answer(self, channel: Channel, now: float) -> bool:
        if now >= self.due:
            raise OSError("its name was not looked up in time" if channel.looks_up else "no answer")
        return False

    def _ask(self, channel: Channel, now: float) -> None:
        questions = self._check.questions
        self._open = {channel.client.call(*question): place for place, question in enumerate(questions)}
        self._answers = [None] * len(questions)
        self.due, self._pausing = now + self._timeout, False

    def _conclude(self, now: float) -> bool:
        self.not_ready_reason = self._check.judge(self._answers)
        self._answers = []
        self._rest(now)
        return not self.not_ready_reason

    def _rest(self, now: float, shortest: float = _SHORTEST_PAUSE, share: int = _SHARE) -> None:
        """Schedule the next probe after a fraction of the time since the start: often at first, less often later."""
        spent = now - self._began
        pause = min(max(spent / share, shortest), _LONGEST_PAUSE if spent < _LONG else _PATIENT_PAUSE)
        self.due = now + (_NUDGED_PAUSE if now < self._nudged else pause)
        self._pausing = True
