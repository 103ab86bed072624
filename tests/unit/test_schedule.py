"""Steps run concurrently up to a limit, never before their dependencies, and some of them alone."""

import os
import select
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.lib import command
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.pipeline.schedule import run_steps
from support.fake_stages import step

SECONDS = 30


def test_two_steps_run_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=SECONDS)
    steps = [step("obtain/one"), step("obtain/two")]
    assert len(list(run_steps(steps, lambda _: together.wait(), at_once=2))) == 2


def test_no_more_steps_run_at_once_than_allowed() -> None:
    alone = threading.Lock()

    def work(_: Step) -> None:
        assert alone.acquire(blocking=False)
        time.sleep(0.01)  # so that another step could start meanwhile
        alone.release()

    assert len(list(run_steps([step(f"obtain/{number}") for number in range(20)], work, at_once=1))) == 20


def test_a_step_starts_only_when_all_its_dependencies_have_ended() -> None:
    ended: set[str] = set()
    steps = [
        step("obtain/one"),
        step("obtain/two"),
        step("bottle", "obtain/one", "obtain/two"),
        step("audit", "bottle"),
    ]

    def work(started: Step) -> None:
        assert ended.issuperset(started.needs)

    for finished, _ in run_steps(steps, work, at_once=2):
        ended.add(finished.name)
    assert ended == {each.name for each in steps}


def test_nothing_runs_beside_a_step_that_measures_durations() -> None:
    at_work: set[str] = set()

    def work(started: Step) -> None:
        at_work.add(started.name)
        time.sleep(0.02)  # so that another step could start meanwhile
        assert len(at_work) == 1 or not at_work & {"verify/one", "verify/two"}
        at_work.discard(started.name)

    measured = [replace(step(name), alone=True) for name in ("verify/one", "verify/two")]
    steps = [measured[0], step("obtain/one"), measured[1], step("bottle")]
    assert len(list(run_steps(steps, work, at_once=2))) == 4


def test_after_a_failure_running_steps_end_and_no_other_starts() -> None:
    """The result of a step that took minutes must not be lost because another one failed."""
    failed, started = threading.Event(), []

    def work(each: Step) -> str:
        started.append(each.name)
        if each.name == "obtain/broken":
            failed.set()
            raise ValueError("broken")
        failed.wait(SECONDS)
        return "whole"

    results: list[tuple[Step, str]] = []
    with pytest.raises(ValueError, match="broken"):
        results.extend(run_steps([step("obtain/whole"), step("obtain/broken"), step("obtain/never")], work, at_once=2))
    assert [(finished.name, result) for finished, result in results] == [("obtain/whole", "whole")]
    assert sorted(started) == ["obtain/broken", "obtain/whole"]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process by its pidfd")
def test_an_interruption_kills_the_programs_of_every_step(tmp_path: Path) -> None:
    """They would run on for minutes and hold what the next run needs."""
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)

    def work(each: Step) -> int:
        if each.name == "obtain/long":
            command.run(["sh", "-c", f"echo $$ >{fifo}; exec sleep 600"], check=False)
            return 0
        return os.pidfd_open(int(fifo.read_text(encoding="ascii")))

    results = run_steps([step("obtain/long"), step("obtain/short")], work, at_once=2)
    _, program = next(results)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    assert select.select([program], [], [], SECONDS)[0]
    os.close(program)


def test_after_an_interruption_no_step_starts_another_program(tmp_path: Path) -> None:
    """It would outlive the pipeline: a step that handles exit codes itself continues when its program was killed."""
    fifo, another = tmp_path / "fifo", tmp_path / "another"
    os.mkfifo(fifo)
    refused: list[type] = []

    def work(each: Step) -> None:
        if each.name == "obtain/short":
            assert fifo.read_text(encoding="ascii") == "started\n"
            return
        command.run(["sh", "-c", f"echo started >{fifo}; exec sleep 600"], check=False)
        try:
            command.run(["touch", another])
        except BaseException as error:
            refused.append(type(error))
            raise

    results = run_steps([step("obtain/long"), step("obtain/short")], work, at_once=2)
    next(results)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    assert (refused, another.exists()) == ([KeyboardInterrupt], False)
    command.run(["touch", another])
    assert another.exists(), "the next run can start programs again"


def test_the_steps_of_a_plan_start_in_its_order() -> None:
    steps = [step("obtain/one"), step("obtain/two"), step("bottle")]
    assert [finished for finished, _ in run_steps(steps, lambda _: None, at_once=1)] == steps


def test_a_step_that_would_wait_for_a_running_one_yields_to_another() -> None:
    """Two freezes for one target need the same Python, which the first one compiles for minutes."""
    started: list[str] = []
    first_two = threading.Barrier(2, timeout=SECONDS)

    def work(each: Step) -> None:
        started.append(each.name)
        if len(started) <= 2:
            first_two.wait()

    list(run_steps([step("freeze/launcher"), step("freeze/service"), step("obtain/temporal")], work, at_once=2))
    assert started[2] == "freeze/service"
