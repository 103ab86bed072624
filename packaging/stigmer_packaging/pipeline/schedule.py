"""Carries out steps some at a time: each when all it needs is there, the earlier ones of a plan first."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

from stigmer_packaging.lib import command
from stigmer_packaging.pipeline.plan import Step

GRACE = 5.0
"""Seconds in which the threads of an interrupted run should end, once their programs are killed; then they are left."""

Outcome = tuple[Step, Any, BaseException | None]
"""A step that ended, its result, and what it raised."""


def carry_out(
    steps: Sequence[Step], work: Callable[[Step], Any], *, at_once: int
) -> Generator[tuple[Step, Any], None, None]:
    """Call `work` for each step, at most `at_once` at a time, each in a thread of its own; give the results as they come.

    After the first failure no more are begun; those at work end, and then it is raised. When we are interrupted, the
    programs that run are killed.
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
            done, result, error = outcomes.get()
            running.remove(done)
            ended.add(done.name)
            failure = failure or error
            if not error:
                yield done, result
    except BaseException:
        with command.all_killed():
            for thread in threads:
                thread.join(GRACE)
        raise
    if failure:
        raise failure


def _next(waiting: Sequence[Step], ended: set[str], running: Sequence[Step], at_once: int) -> Step | None:
    """Give the first step that may begin now, of a stage and target not yet at work if there is one.

    Two freezes for one target need the same Python, and the second one waits until the first has compiled it.
    """
    if len(running) >= at_once or any(step.alone for step in running):
        return None
    ready = (step for step in waiting if ended.issuperset(step.needs) and not (running and step.alone))
    alike = {(step.stage, step.target) for step in running}
    return min(ready, key=lambda step: (step.stage, step.target) in alike, default=None)


def _work(step: Step, work: Callable[[Step], Any], outcomes: "queue.SimpleQueue[Outcome]") -> None:
    try:
        outcomes.put((step, work(step), None))
    except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
        outcomes.put((step, None, error))
