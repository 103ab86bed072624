"""Readiness checks: a service speaks HTTP/2, reports SERVING, or polls its task queues.

Sources: grpc.health.v1 (request: service = 1; response: status = 1, SERVING = 1); temporal.api.workflowservice.v1
(DescribeTaskQueueRequest: namespace = 1, task_queue = 2, task_queue_type = 3; response: pollers = 1), taskqueue.v1
(TaskQueue: name = 1; PollerInfo: last_access_time = 1, identity = 2), enums.v1 (TaskQueueType: workflow 1, activity 2).
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from stigmer_launcher.readiness import grpc
from stigmer_launcher.readiness.grpc import Answers, Question
from stigmer_launcher.system.process import processor_time

_HEALTH = "/grpc.health.v1.Health/Check"
_TEMPORAL = "temporal.api.workflowservice.v1.WorkflowService"
_SERVING, _WORKFLOW, _ACTIVITY = 1, 1, 2
_LONGEST_POLL = 60.0  # seconds after which Temporal ends a poll without a task; a worker then begins the next

Clock = Callable[[], float]
Usage = Callable[[int], float | None]


class ResolvedProof(NamedTuple):
    """A proof of the payload with everything filled in: the address to ask, and Temporal's namespace and queues."""

    kind: str
    address: str
    namespace: str = ""
    queues: tuple[str, ...] = ()


class Check(NamedTuple):
    """Questions for a service, which `probe` sends; `judge` returns why the answers do not pass, empty when they do."""

    questions: tuple[Question, ...]
    judge: Callable[[Answers], str]
    http2: bool = True  # else an accepted connection is enough, and nothing is sent over it


OPEN_PORT = Check((), lambda _: "", http2=False)
HANDSHAKE = Check((), lambda _: "")


def temporal(namespace: str, queue: str) -> Check:
    """Ask for Temporal's health and, unless `namespace` is empty, for a task queue in it: it may not be usable yet."""

    def judge(answers: Answers) -> str:
        health, described = answers
        if health is None or grpc.integer(health, 1) != _SERVING:
            return "Temporal answers, but does not serve yet"
        return f"namespace {namespace!r} cannot be used yet" if namespace and described is None else ""

    return Check(((_HEALTH, grpc.encode({1: _TEMPORAL})), _describe_task_queue(namespace, queue, _WORKFLOW)), judge)


def check_for(proof: ResolvedProof, group: int, spawned: float, *, was_ready: bool = False) -> Check:
    """Return the check of a proof for the process group that was `spawned` at that time of the epoch.

    For a group that `was_ready` it checks liveness, and must be used for all rounds, since a worker's compares them.
    """
    if proof.kind == "pollers":
        worker = Worker(group, spawned)
        kinds = (_WORKFLOW, _ACTIVITY)
        questions = (_describe_task_queue(proof.namespace, queue, kind) for queue in proof.queues for kind in kinds)
        judge = worker.judge_liveness if was_ready else partial(worker.judge_readiness, proof.queues)
        return Check(tuple(questions), judge)
    if proof.kind == "temporal":
        return temporal(proof.namespace, proof.queues[0])
    return OPEN_PORT if proof.kind == "port" else HANDSHAKE


def pid_in_group(identity: str, last_access: float, group: int, spawned: float) -> int:
    """Return a poller's pid if it belongs to a group, else 0: the SDKs' default identity begins with `pid@`."""
    found = re.match(r"([0-9]{1,19})@", identity)
    pid = int(found[1]) if found else 0
    if not pid:
        return group if last_access >= spawned else 0  # taken for the leader, if it has polled since its start
    return pid if _is_member(pid, group) else 0


def _is_member(pid: int, group: int) -> bool:
    with suppress(OSError, OverflowError):
        return pid == group or os.getpgid(pid) == group
    return False


class Worker:
    """A worker's process group, `spawned` at that time of the epoch: whether it polls its queues, and whether it hangs.

    A worker at its limit of concurrent tasks does not poll, sometimes for hours, so it hangs only if it does not use the
    processor either. Temporal's times are only compared with each other: its clock may differ, and machines sleep.
    """

    def __init__(self, group: int, spawned: float, clock: Clock = time.monotonic, used: Usage = processor_time) -> None:
        self._group, self._spawned, self._clock, self._used = group, spawned, clock, used
        self._pids, self._polled, self._last = {group}, 0.0, (0.0, 0.0)
        self._since = clock()

    def judge_readiness(self, queues: tuple[str, ...], answers: Answers) -> str:
        """Say which queues it does not poll, empty when it polls all; there are two answers for each, one of each kind."""
        described = zip(queues, answers[::2], answers[1::2], strict=True)
        missing = [queue for queue, *both in described if not any(self._pollers(both))]
        return f"no worker polls the queue {', '.join(missing)}" if missing else ""

    def judge_liveness(self, answers: Answers) -> str:
        """Say that the worker hangs, empty when it has polled or used the processor lately."""
        for pid, last_access in self._pollers(answers):
            self._pids.add(pid)
            self._polled = max(self._polled, last_access)
        self._pids = {pid for pid in self._pids if _is_member(pid, self._group)}  # pids are reused
        used = [spent for spent in map(self._used, self._pids) if spent is not None]
        if (activity := (self._polled, sum(used))) != self._last or not used:
            self._last, self._since = activity, self._clock()
        return "neither polls nor uses the processor" if self._clock() - self._since > 2 * _LONGEST_POLL else ""

    def _pollers(self, answers: Answers) -> Iterator[tuple[int, float]]:
        for poller in (poller for answer in answers for poller in grpc.byte_strings(answer or b"", 1)):
            identity = b"".join(grpc.byte_strings(poller, 2)[-1:]).decode(errors="replace")
            seen = b"".join(grpc.byte_strings(poller, 1)[-1:])
            last_access = grpc.integer(seen, 1) + grpc.integer(seen, 2) / 1e9
            if pid := pid_in_group(identity, last_access, self._group, self._spawned):
                yield pid, last_access


def _describe_task_queue(namespace: str, queue: str, kind: int) -> Question:
    return f"/{_TEMPORAL}/DescribeTaskQueue", grpc.encode({1: namespace, 2: grpc.encode({1: queue}), 3: kind})
