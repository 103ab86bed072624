"""Readiness checks: a service speaks HTTP/2, reports SERVING, or polls its task queues.

A check is pure: the requests to send, and a function that evaluates the replies. `probe` sends them.

Sources: grpc.health.v1 (request: service = 1; response: status = 1, SERVING = 1); temporal.api.workflowservice.v1
(DescribeTaskQueueRequest: namespace = 1, task_queue = 2, task_queue_type = 3; response: pollers = 1), taskqueue.v1
(TaskQueue: name = 1; PollerInfo: last_access_time = 1, identity = 2), enums.v1 (TaskQueueType: workflow 1, activity 2).
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from stigmer_launcher.readiness import protowire
from stigmer_launcher.readiness.address import Address
from stigmer_launcher.system.process import processor_time

HEALTH = "/grpc.health.v1.Health/Check"
DESCRIBE = "/temporal.api.workflowservice.v1.WorkflowService/DescribeTaskQueue"
_TEMPORAL = "temporal.api.workflowservice.v1.WorkflowService"
_SERVING, _WORKFLOW, _ACTIVITY = 1, 1, 2
_LONGEST_POLL = 60.0  # seconds after which Temporal ends a poll without a task; a worker then begins the next

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


OPEN_PORT = Check((), lambda _: "", spoken=False)
HANDSHAKE = Check((), lambda _: "")


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
    """Return whether a poller's process belongs to a group: the SDKs' default identity begins with `pid@`.

    An identity without a pid is judged by its time: it polled since our process was `spawned`.
    """
    pid = _pid_in(identity)
    if not pid:
        return last_access >= spawned
    try:
        return pid == group or os.getpgid(pid) == group
    except (OSError, OverflowError):
        return False


class Activity:
    """Whether a worker still does anything: it polls, or uses the processor.

    A worker that executes as much as it may at once does not poll, sometimes for hours, so that alone does not make it
    hung. Temporal's times are only compared with each other: its clock may be another one, and machines sleep.
    """

    def __init__(
        self,
        group: int,
        spawned: float,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[int], float | None] = processor_time,
    ) -> None:
        self._group, self._spawned, self._clock, self._used = group, spawned, clock, used
        self._pids = {group}
        self._polled = 0.0
        self._last: tuple[float, float] | None = None
        self._since = clock()

    def judge(self, answers: Answers) -> str:
        """Say what is wrong with the worker that polls as the answers tell, empty when nothing is."""
        for identity, last_access in _pollers(answers):
            if is_in_group(identity, last_access, self._group, self._spawned):
                self._pids.add(_pid_in(identity) or self._group)
                self._polled = max(self._polled, last_access)
        used = [self._used(pid) for pid in self._pids]
        activity = (self._polled, sum(filter(None, used)))
        if activity != self._last or None in used:
            self._last, self._since = activity, self._clock()
        return "neither polls nor uses the processor" if self._clock() - self._since > 2 * _LONGEST_POLL else ""


def _pid_in(identity: str) -> int:
    pid, at, _ = identity.partition("@")
    return int(pid) if at and pid.isascii() and pid.isdigit() else 0


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
        described = answers[2 * place : 2 * place + 2]
        if not any(is_ours(*poller) for poller in _pollers(described)):
            missing.append(queue)
    return f"no worker polls the queue {', '.join(missing)}" if missing else ""


def _pollers(answers: Answers) -> list[tuple[str, float]]:
    """List the pollers that are described."""
    described = (answer for answer in answers if answer is not None)
    return [_poller(poller) for answer in described for poller in protowire.strings(answer, 1)]


def _poller(message: bytes) -> tuple[str, float]:
    """Read a poller's identity, and when it was last seen in seconds of the epoch."""
    identity = b"".join(protowire.strings(message, 2)[-1:]).decode(errors="replace")
    seen = b"".join(protowire.strings(message, 1)[-1:])
    return identity, protowire.integer(seen, 1) + protowire.integer(seen, 2) / 1e9


def check_for(proof: Proof, group: int, spawned: float) -> Check:
    """Return the check for the process group that was `spawned` at that time of the epoch."""
    if proof.kind == "port":
        return OPEN_PORT
    if proof.kind == "grpc":
        return HANDSHAKE
    if proof.kind == "temporal":
        return temporal(proof.namespace, proof.queues[0])

    def is_ours(identity: str, last_access: float) -> bool:
        return is_in_group(identity, last_access, group, spawned)

    return pollers(proof.namespace, proof.queues, is_ours)


def liveness_check(proof: Proof, group: int, spawned: float) -> Check:
    """Return the check for a process group that was ready once; it is for all rounds, for a worker's remembers the last."""
    check = check_for(proof, group, spawned)
    return check._replace(judge=Activity(group, spawned).judge) if proof.kind == "pollers" else check
