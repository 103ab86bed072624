"""Liveness checks: which proof is repeated, and when a worker counts as hung."""

import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from stigmer_launcher.readiness import grpc
from stigmer_launcher.readiness.checks import ResolvedProof, Worker, check_for
from stigmer_launcher.system.process import processor_time
from support.launcher_services import eventually

ADDRESS = "127.0.0.1:1"
HUNG = "neither polls nor uses the processor"


class ObservedWorker:
    """A worker with pid 77 and its signs of life, at the time of a fake clock."""

    def __init__(self) -> None:
        self.now, self.used, self.polled = 0.0, 1.0, 5
        self.worker = Worker(77, 3.0, lambda: self.now, lambda _: self.used)

    def verdict_at(self, now: float) -> str:
        """Return the verdict at this time, from the answers of Temporal and of the system."""
        self.now = now
        poller = grpc.encode({1: grpc.encode({1: self.polled}), 2: "77@host"})
        return self.worker.judge_liveness((grpc.encode({1: poller}), None))


@pytest.mark.parametrize(("sign", "step"), [("polled", 60), ("used", 0.001)], ids=["polls", "works"])
def test_a_worker_that_only_polls_or_is_too_busy_to_poll_is_alive(sign: str, step: float) -> None:
    """A poll without a task takes a minute, and a worker at its task limit may not poll for an hour."""
    observed = ObservedWorker()
    for minute in range(60):
        setattr(observed, sign, getattr(observed, sign) + step)
        assert observed.verdict_at(minute * 60.0) == ""


def test_a_worker_that_is_idle_for_two_polls_counts_as_hung_until_it_is_active_again() -> None:
    observed = ObservedWorker()
    assert observed.verdict_at(0.0) == ""
    assert observed.verdict_at(120.0) == ""
    assert observed.verdict_at(121.0) == HUNG
    observed.polled += 1
    assert observed.verdict_at(150.0) == ""


def test_a_worker_that_temporal_has_dropped_still_counts_as_hung() -> None:
    """Temporal drops a poller after some minutes, which must not count as a sign of life."""
    observed = ObservedWorker()
    observed.verdict_at(0.0)
    observed.now = 301.0
    assert observed.worker.judge_liveness((None, b"")) == HUNG


def test_a_worker_whose_processor_time_is_unknown_does_not_count_as_hung() -> None:
    worker = Worker(77, 3.0, iter((0.0, 1e6, 1e6, 1e6)).__next__, lambda _: None)
    assert worker.judge_liveness((b"",)) == ""


def test_a_worker_counts_as_hung_although_another_process_of_its_group_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The processor time of an ended process is unknown, which once counted as a sign of life forever."""
    monkeypatch.setattr(os, "getpgid", lambda _: 77)
    worker = Worker(77, 3.0, iter((0.0, 1.0, 1.0, 1e6, 1e6)).__next__, {77: 5.0}.get)
    polled = grpc.encode({1: grpc.encode({1: grpc.encode({1: 5}), 2: "78@host"})})
    assert worker.judge_liveness((polled,)) == ""
    assert worker.judge_liveness((polled,)) == HUNG


def test_a_busy_process_with_a_reused_pid_is_not_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    observed, groups, work = ObservedWorker(), {78: 77}, itertools.count(1)
    monkeypatch.setattr(os, "getpgid", groups.__getitem__)
    worker = Worker(77, 3.0, lambda: observed.now, lambda pid: 5.0 if pid == 77 else float(next(work)))
    polled = grpc.encode({1: grpc.encode({1: grpc.encode({1: 5}), 2: "78@host"})})
    assert worker.judge_liveness((polled,)) == ""
    groups[78] = 78
    verdicts = []
    for observed.now in (100.0, 200.0, 300.0):
        verdicts.append(worker.judge_liveness((None,)))
    assert verdicts == ["", "", HUNG]


@pytest.mark.parametrize("kind", ["port", "grpc", "temporal"])
def test_the_liveness_check_of_a_server_is_its_first_readiness_proof(kind: str) -> None:
    proof = ResolvedProof(kind, ADDRESS, "default", ("a",))
    first, again = check_for(proof, 1, 0.0), check_for(proof, 1, 0.0, was_ready=True)
    assert (first.questions, first.http2) == (again.questions, again.http2)
    assert again.judge((b"\x08\x01", b"")) == ""


def test_one_liveness_check_covers_all_queues_of_a_worker() -> None:
    check = check_for(ResolvedProof("pollers", ADDRESS, "default", ("a", "b")), os.getpid(), 0.0, was_ready=True)
    assert len(check.questions) == 4
    assert check.judge((None,) * 4) == ""


def test_a_running_process_uses_processor_time_and_a_stopped_one_does_not() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as working:
        try:
            first = processor_time(working.pid)
            assert first is not None
            eventually(lambda: (processor_time(working.pid) or 0) > first, "some processor time")
            os.kill(working.pid, signal.SIGSTOP)
            os.waitpid(working.pid, os.WUNTRACED)
            # It is reported as stopped a moment before it leaves the processor.
            eventually(lambda: processor_time(working.pid) == processor_time(working.pid), "a constant processor time")
        finally:
            working.kill()
    assert processor_time(working.pid) is None
    assert processor_time(os.getpid()) == pytest.approx(time.process_time(), abs=0.5)
