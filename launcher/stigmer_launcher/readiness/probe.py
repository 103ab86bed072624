"""Repeats the requests of checks over a non-blocking connection until they succeed."""

from collections.abc import Sequence

from stigmer_launcher.readiness.channel import Channel
from stigmer_launcher.readiness.checks import Check
from stigmer_launcher.readiness.grpc import Answers

# A pause between two rounds is a part of the time it has taken so far, and not shorter than so many seconds. Answering
# costs a service that is starting processor time; refusing a connection does not.
_ANSWERED, _REFUSED = (1 / 3, 0.02), (1 / 20, 0.004)
_LONGEST_PAUSE = 0.25  # seconds
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

    def __init__(self, checks: Sequence[tuple[str, Check]], now: float, timeout: float = _TIMEOUT) -> None:
        self.channel: Channel | None = None
        self.due, self._pausing, self._nudged = now, False, 0.0
        self._checks, self._timeout = list(checks), timeout
        self._begin(now)

    def nudge(self, now: float) -> None:
        """Probe soon, and more often for a while: the service has printed something, so it made progress."""
        self._nudged = now + _NUDGED
        if self._pausing:
            self.due = min(self.due, now + _NUDGED_PAUSE)

    def advance(self, now: float) -> bool:
        """Make progress without blocking; True once every proof has held."""
        try:
            while self._proves(now):
                self.close()
                if not self._checks:
                    return True
                self._begin(now)
        except OSError as error:
            self.not_ready_reason = f"{self._address}: {error.strerror or error}"
            self.close()
            self._rest(now, *_REFUSED)
        return False

    def close(self) -> None:
        """Close the connection, and forget what was asked over it."""
        if self.channel:
            self.channel.close()
        self.channel = None

    def _begin(self, now: float) -> None:
        """Turn to the next proof."""
        self._address, self._check = self._checks.pop(0)
        self._began = now
        self.due, self._pausing = now, False
        self.not_ready_reason = "has not been asked yet"

    def _proves(self, now: float) -> bool:
        """Carry the round on, or after a pause begin the next one; True when the answers are the proof."""
        channel = self.channel
        if channel is None or (self._pausing and now >= self.due):
            channel = self._begin_round(now)
        answers = self._answers(channel)
        if self._pausing:
            return False
        if answers is not None:
            self.not_ready_reason = self._check.judge(answers)
            self._rest(now, *_ANSWERED)
        elif now >= self.due:
            raise OSError("its name was not looked up in time" if channel.looks_up else "no answer")
        return answers is not None and not self.not_ready_reason

    def _begin_round(self, now: float) -> Channel:
        self.channel = self.channel or Channel(self._address)
        self.channel.client.ask(self._check.questions)
        self.due, self._pausing = now + self._timeout, False
        return self.channel

    def _answers(self, channel: Channel) -> Answers | None:
        if self._check.spoken:
            return channel.advance()
        return [] if channel.is_connected() else None

    def _rest(self, now: float, share: float, shortest: float) -> None:
        """Schedule the next round after a fraction of the time since the start: often at first, less often later."""
        spent = now - self._began
        pause = min(max(spent * share, shortest), _LONGEST_PAUSE if spent < _LONG else _PATIENT_PAUSE)
        self.due = now + (_NUDGED_PAUSE if now < self._nudged else pause)
        self._pausing = True
