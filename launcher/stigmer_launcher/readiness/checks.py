"""Whether a service is ready, proved by what it does: it speaks HTTP/2, reports SERVING, or polls its task queues.

A check is pure: the questions to ask, and the judgement of the answers. A probe asks them over one connection, again and
again, without ever blocking.

Sources: grpc.health.v1 (request: service = 1; response: status = 1, SERVING = 1); temporal.api.workflowservice.v1
(DescribeTaskQueueRequest: namespace = 1, task_queue = 2, task_queue_type = 3; response: pollers = 1), taskqueue.v1
(TaskQueue: name = 1; PollerInfo: last_access_time = 1, identity = 2), enums.v1 (TaskQueueType: workflow 1, activity 2).
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stigmer_launcher.readiness import protowire
from stigmer_launcher.readiness.address import Address
from stigmer_launcher.readiness.channel import Channel

HEALTH = "/grpc.health.v1.Health/Check"
DESCRIBE = "/temporal.api.workflowservice.v1.WorkflowService/DescribeTaskQueue"
_TEMPORAL = "temporal.api.workflowservice.v1.WorkflowService"
_SERVING, _WORKFLOW, _ACTIVITY = 1, 1, 2
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25  # seconds between two rounds
# Each answer costs those that are starting; a refused connection, where nobody listens yet, does not.
_KNOCKING_PAUSE = 0.004  # seconds
_SHARE, _KNOCKING_SHARE = 3, 20  # a pause is this part of the time it has taken so far: a third, a twentieth
_STIRRED_PAUSE, _STIRRED = (
    0.004,
    0.1,
)  # seconds between two rounds, and how long so, after a service has printed something
_PATIENCE = 5.0  # seconds after which an unanswered round counts as lost

Question = tuple[str, bytes]
Answers = Sequence[bytes | None]


class Proof(NamedTuple):
    """One thing a service must show (the payload's kinds), at which address, in which namespace and queues."""

    kind: str
    address: Address
    namespace: str = ""
    queues: tuple[str, ...] = ()


class Check(NamedTuple):
    """What to ask, and what is still lacking according to the answers; an empty text is the proof.

    Where HTTP/2 need not be `spoken`, an accepted connection is enough, and nothing is sent over it.
    """

    questions: tuple[Question, ...]
    judge: Callable[[Answers], str]
    spoken: bool = True


def open_port() -> Check:
    """Ask nothing: that a connection is accepted is enough."""
    return Check((), lambda _: "", spoken=False)


def handshake() -> Check:
    """Ask nothing: that HTTP/2 was spoken is enough."""
    return Check((), lambda _: "")


def temporal(namespace: str, queue: str) -> Check:
    """Ask for Temporal's health, and for a task queue, which exists only in a namespace that can be used."""
    health = (HEALTH, protowire.text(1, _TEMPORAL))
    return Check((health, _describe(namespace, queue, _WORKFLOW)), lambda answers: _judge_temporal(namespace, answers))


def pollers(namespace: str, queues: tuple[str, ...], is_ours: Callable[[str, float], bool]) -> Check:
    """Ask every queue for a poller that `is_ours`, by its identity and its last access in seconds of the epoch."""
    kinds = (_WORKFLOW, _ACTIVITY)
    questions = tuple(_describe(namespace, queue, kind) for queue in queues for kind in kinds)
    return Check(questions, lambda answers: _judge_pollers(queues, answers, is_ours))


def is_in_group(identity: str, last_access: float, group: int, spawned: float) -> bool:
    """Tell whether a poller's process belongs to a group: the SDKs' default identity begins with `pid@`.

    An identity without a pid is judged by its time: it polled since our process was `spawned`.
    """
    pid, at, _ = identity.partition("@")
    if not at or not pid.isascii() or not pid.isdigit():
        return last_access >= spawned
    try:
        return int(pid) == group or os.getpgid(int(pid)) == group
    except (OSError, OverflowError):
        return False


class Probe:
    """Asks one check's questions until they prove readiness.

    The loop calls `turn` when the channel's descriptor is ready or `due` (monotonic seconds) has come; `lacking` says why
    there is no proof yet. Asking takes the processor from those that are starting, so it is done often only after `stir`.
    """

    def __init__(self, address: Address, check: Check, now: float) -> None:
        self.channel: Channel | None = None
        self.due = now
        self.lacking = "has not been asked yet"
        self._address, self._check, self._began = address, check, now
        self._open: dict[int, int] = {}
        self._answers: list[bytes | None] = []
        self._pausing = False
        self._stirred = 0.0

    def stir(self, now: float) -> None:
        """Ask soon, and often for a while: the service has printed something, so it has come further."""
        self._stirred = now + _STIRRED
        if self._pausing:
            self.due = min(self.due, now + _STIRRED_PAUSE)

    def turn(self, now: float) -> bool:
        """Go on as far as possible now, and tell whether readiness is proved."""
        try:
            return self._advance(now)
        except OSError as error:
            self.lacking = f"{self._address}: {error.strerror or error}"
            self.close()
            self._rest(now, _KNOCKING_PAUSE, _KNOCKING_SHARE)
            return False

    def close(self) -> None:
        """Give up the connection, and what was asked over it."""
        if self.channel:
            self.channel.close()
        self.channel, self._open, self._answers = None, {}, []

    def _advance(self, now: float) -> bool:
        if self.channel is None:
            self.channel, self.due, self._pausing = Channel(self._address), now + _PATIENCE, False
            return False
        if not self._check.spoken:
            return self._knock(self.channel, now)
        for reply in self.channel.turn():
            self._answers[self._open.pop(reply.call)] = reply.message
        if self._open or not self.channel.client.greeted:
            if now >= self.due:
                raise OSError("no answer")
            return False
        if self._answers or not self._check.questions:
            return self._conclude(now)
        if not self._pausing or now >= self.due:
            self._ask(self.channel, now)
        return False

    def _knock(self, channel: Channel, now: float) -> bool:
        if channel.connected:
            return self._conclude(now)
        if now >= self.due:
            raise OSError("no answer")
        return False

    def _ask(self, channel: Channel, now: float) -> None:
        questions = self._check.questions
        self._open = {channel.client.call(*question): place for place, question in enumerate(questions)}
        self._answers = [None] * len(questions)
        self.due, self._pausing = now + _PATIENCE, False

    def _conclude(self, now: float) -> bool:
        self.lacking = self._check.judge(self._answers)
        self._answers = []
        self._rest(now)
        return not self.lacking

    def _rest(self, now: float, shortest: float = _SHORTEST_PAUSE, share: int = _SHARE) -> None:
        """Pause for a part of the time it has taken so far: often at first, seldom on a slow machine."""
        pause = min(max((now - self._began) / share, shortest), _LONGEST_PAUSE)
        self.due = now + (_STIRRED_PAUSE if now < self._stirred else pause)
        self._pausing = True


class ProbeSequence:
    """Asks for several proofs in their order, the next one as soon as the one before holds; used like one Probe.

    So a server that does not answer yet costs Temporal no questions about its queues.
    """

    def __init__(
        self, checks: "Sequence[tuple[Address, Check]]", now: float, probe: Callable[..., Probe] = Probe
    ) -> None:
        self._checks, self._probe = list(checks), probe
        self._current = self._next(now)

    @property
    def channel(self) -> Channel | None:
        """Give the connection to wait on, if there is one."""
        return self._current.channel

    @property
    def due(self) -> float:
        """Give the time of the next turn, if nothing comes over the connection before."""
        return self._current.due

    @property
    def lacking(self) -> str:
        """Say why the first proof that is missing does not hold yet."""
        return self._current.lacking

    def stir(self, now: float) -> None:
        """Ask soon, and often for a while."""
        self._current.stir(now)

    def turn(self, now: float) -> bool:
        """Go on as far as possible now, and tell whether every proof has held."""
        while self._current.turn(now):
            self._current.close()
            if not self._checks:
                return True
            self._current = self._next(now)
        return False

    def close(self) -> None:
        """Give up what is being asked."""
        self._current.close()

    def _next(self, now: float) -> Probe:
        address, check = self._checks.pop(0)
        return self._probe(address, check, now)


def _describe(namespace: str, queue: str, kind: int) -> Question:
    wanted = protowire.text(1, namespace) + protowire.octets(2, protowire.text(1, queue)) + protowire.number(3, kind)
    return DESCRIBE, wanted


def _judge_temporal(namespace: str, answers: Answers) -> str:
    health, queue = answers
    if health is None or protowire.integer(health, 1) != _SERVING:
        return "Temporal answers, but does not serve yet"
    return f"namespace {namespace!r} cannot be used yet" if queue is None else ""


def _judge_pollers(queues: tuple[str, ...], answers: Answers, is_ours: Callable[[str, float], bool]) -> str:
    missing = []
    for place, queue in enumerate(queues):
        described = [answer for answer in answers[2 * place : 2 * place + 2] if answer is not None]
        polled = (poller for answer in described for poller in protowire.strings(answer, 1))
        if not any(is_ours(*_poller(poller)) for poller in polled):
            missing.append(queue)
    return f"no worker polls the queue {', '.join(missing)}" if missing else ""


def _poller(message: bytes) -> tuple[str, float]:
    """Read a poller's identity, and when it was last seen in seconds of the epoch."""
    identity = b"".join(protowire.strings(message, 2)[-1:]).decode(errors="replace")
    seen = b"".join(protowire.strings(message, 1)[-1:])
    return identity, protowire.integer(seen, 1) + protowire.integer(seen, 2) / 1e9


def check_for(proof: Proof, group: int, spawned: float) -> Check:
    """Give the check for the process group that was `spawned` at that time of the epoch."""
    if proof.kind == "port":
        return open_port()
    if proof.kind == "grpc":
        return handshake()
    if proof.kind == "temporal":
        return temporal(proof.namespace, proof.queues[0])

    def is_ours(identity: str, last_access: float) -> bool:
        return is_in_group(identity, last_access, group, spawned)

    return pollers(proof.namespace, proof.queues, is_ours)
