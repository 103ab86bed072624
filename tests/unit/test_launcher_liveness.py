"""Liveness: which proof is repeated, and when a worker counts as hung."""

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

HERE = "127.0.0.1:1"
HANGS = "neither polls nor uses the processor"


class Seen:
    """What is seen of a worker, process 77, by a test's clock."""

    def __init__(self) -> None:
        self.now, self.used, self.polled = 0.0, 1.0, 5
        self.worker = Worker(77, 3.0, lambda: self.now, lambda _: self.used)

    def judged(self, now: float) -> str:
        """Judge the answers of Temporal and of the system."""
        self.now = now
        poller = grpc.encode({1: grpc.encode({1: self.polled}), 2: "77@host"})
        return self.worker.judge_liveness((grpc.encode({1: poller}), None))


@pytest.mark.parametrize(("sign", "step"), [("polled", 60), ("used", 0.001)], ids=["polls", "works"])
def test_a_worker_that_only_polls_or_is_too_busy_to_poll_is_alive(sign: str, step: float) -> None:
    """A poll that brings no task takes a minute, and a worker may execute as much as it may at once for an hour."""
    seen = Seen()
    for minute in range(60):
        setattr(seen, sign, getattr(seen, sign) + step)
        assert seen.judged(minute * 60.0) == ""


def test_a_worker_that_does_nothing_for_two_polls_hangs_until_it_does_something() -> None:
    seen = Seen()
    assert seen.judged(0.0) == ""
    assert seen.judged(120.0) == ""
    assert seen.judged(121.0) == HANGS
    seen.polled += 1
    assert seen.judged(150.0) == ""


def test_a_worker_that_temporal_has_dropped_still_hangs() -> None:
    """Temporal drops a poller after some minutes; that is no sign of life."""
    seen = Seen()
    seen.judged(0.0)
    seen.now = 301.0
    assert seen.worker.judge_liveness((None, b"")) == HANGS


def test_a_worker_whose_processor_time_is_unknown_does_not_count_as_hung() -> None:
    worker = Worker(77, 3.0, iter((0.0, 1e6, 1e6, 1e6)).__next__, lambda _: None)
    assert worker.judge_liveness((b"",)) == ""


def test_a_worker_hangs_though_another_process_of_its_group_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processor time cannot be told any more; once that counted as a sign of life for good."""
    monkeypatch.setattr(os, "getpgid", lambda _: 77)
    worker = Worker(77, 3.0, iter((0.0, 1.0, 1.0, 1e6, 1e6)).__next__, {77: 5.0}.get)
    polled = grpc.encode({1: grpc.encode({1: grpc.encode({1: 5}), 2: "78@host"})})
    assert worker.judge_liveness((polled,)) == ""
    assert worker.judge_liveness((polled,)) == HANGS


def test_a_worker_hangs_though_the_pid_of_an_ended_one_of_its_group_is_that_of_a_busy_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, groups, work = Seen(), {78: 77}, itertools.count(1)
    monkeypatch.setattr(os, "getpgid", groups.__getitem__)
    worker = Worker(77, 3.0, lambda: seen.now, lambda pid: 5.0 if pid == 77 else float(next(work)))
    polled = grpc.encode({1: grpc.encode({1: grpc.encode({1: 5}), 2: "78@host"})})
    assert worker.judge_liveness((polled,)) == ""
    groups[78] = 78
    said = []
    for seen.now in (100.0, 200.0, 300.0):
        said.append(worker.judge_liveness((None,)))
    assert said == ["", "", HANGS]


@pytest.mark.parametrize("kind", ["port", "grpc", "temporal"])
def test_a_servers_liveness_is_its_first_proof_of_readiness(kind: str) -> None:
    proof = ResolvedProof(kind, HERE, "default", ("a",))
    first, again = check_for(proof, 1, 0.0), check_for(proof, 1, 0.0, was_ready=True)
    assert (first.questions, first.http2) == (again.questions, again.http2)
    assert again.judge((b"\x08\x01", b"")) == ""


def test_a_workers_queues_are_asked_for_and_all_rounds_are_judged_together() -> None:
    check = check_for(ResolvedProof("pollers", HERE, "default", ("a", "b")), os.getpid(), 0.0, was_ready=True)
    assert len(check.questions) == 4
    assert check.judge((None,) * 4) == ""


def test_a_stopped_process_uses_no_processor_and_one_that_works_does() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as working:
        try:
            first = processor_time(working.pid)
            assert first is not None
            eventually(lambda: (processor_time(working.pid) or 0) > first, "some work")
            os.kill(working.pid, signal.SIGSTOP)
            os.waitpid(working.pid, os.WUNTRACED)
            # It is counted as stopped a moment before it leaves its processor.
            eventually(lambda: processor_time(working.pid) == processor_time(working.pid), "its rest")
        finally:
            working.kill()
    assert processor_time(working.pid) is None
    assert processor_time(os.getpid()) == pytest.approx(time.process_time(), abs=0.5)
