"""Runs steps in parallel: each starts once all it needs has been made, earlier ones of the plan first."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

from stigmer_packaging.lib import command
from stigmer_packaging.pipeline.plan import Step

GRACE = 5.0
"""Seconds to wait for each thread of an interrupted run, once its programs are killed; then it is abandoned."""

Outcome = tuple[Step, Any, BaseException | None]
"""A step that ended, its result, and the exception it raised."""


def run_steps(
    steps: Sequence[Step], work: Callable[[Step], Any], *, at_once: int
) -> Generator[tuple[Step, Any], None, None]:
    """Call `work` for each step in its own thread, at most `at_once` at a time; yield the results as they arrive.

    After the first failure no step is started; it is raised once the running ones have ended. On an interrupt, running
    programs are killed.
    """
    waiting, ended, running = list(steps), set[str](), list[Step]()
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    failure: BaseException | None = None
    threads: list[threading.Thread] = []
    try:
        while running or (waiting and not failure):
            while not failure and (step := _next(waiting, ended, running, at_once)):
                waiting.remove(step)
                running.append(step)
                threads.append(threading.Thread(target=_work, args=(step, work, outcomes), daemon=True))
                threads[-1].start()
            finished, result, error = outcomes.get()
            running.remove(finished)
            ended.add(finished.name)
            failure = failure or error
            if not error:
                yield finished, result
    except BaseException:
        with command.kill_all():
            for thread in threads:
                thread.join(GRACE)
        raise
    if failure:
        raise failure


def _next(waiting: Sequence[Step], ended: set[str], running: Sequence[Step], at_once: int) -> Step | None:
    """Return the first step that may start now, preferably of a stage and target that no running step has.

    Two freezes for one target need the same Python, and the second would wait until the first has compiled it.
    """
    if len(running) >= at_once or any(step.alone for step in running):
        return None
    ready = (step for step in waiting if ended.issuperset(step.needs) and not (running and step.alone))
    alike = {(step.stage, step.target) for step in running}
    return min(ready, key=lambda step: (step.stage, step.target) in alike, default=None)


def _work(step: Step, work: Callable[[Step], Any], outcomes: "queue.SimpleQueue[Outcome]") -> None:
    try:
        outcomes.put((step, work(step), None))
    except BaseException as error:  # noqa: BLE001 - re-raised in the waiting thread
        outcomes.put((step, None, error))
