"""Random histories replayed against the pure decision: in the end the stack runs, or has stopped with a reason."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.launch.plan import ServicePlan
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.lifecycle import (
    ALIVE,
    NEVER,
    RESTART,
    START,
    STOP,
    Event,
    Exited,
    NotReady,
    Ready,
    Requested,
    StopRequested,
)
from support.histories import CROSSED, EXTERNAL, PLANS, WATCHED, History, crashed, ended, is_asked, killed

Step = tuple[float, tuple[str, tuple[Event, ...]]]


def befalls(name: str) -> tuple[tuple[Event, ...], ...]:
    """Return the events that may happen to a service; the last three are commands."""
    return (
        (Ready(name),),
        (NotReady(name, "nothing listens"),),
        (killed(name),),
        (crashed(name),),
        (Exited(name, "could not be run: Resource temporarily unavailable"),),
        (Requested(name, STOP),),
        (Requested(name, START),),
        (Requested(name, RESTART),),
    )


PAUSES = st.one_of(st.just(0.0), st.floats(0.001, 100), st.floats(3600, 1e7))  # a machine sleeps, too
EVENTS = st.sampled_from([(plan.name, events) for plan in PLANS for events in befalls(plan.name)])
STEPS = st.lists(st.tuples(PAUSES, EVENTS), max_size=30)
any_stack = pytest.mark.parametrize(
    "plans", [PLANS, WATCHED, EXTERNAL, CROSSED], ids=["ours", "watched", "external", "crossed"]
)


def live(history: History, steps: list[Step]) -> None:
    """Let happen what can: only a process that was spawned ends, and only who is asked is ready."""
    for pause, (name, events) in steps:
        history.at(history.now + pause)
        service = history[name]
        possible = {
            Exited: service.phase in ALIVE and service.plan.managed,
            Ready: is_asked(service),
            NotReady: is_asked(service),
        }
        if possible.get(type(events[0]), True):
            history.at(history.now, *events)


def calm_down(history: History) -> None:
    """Let everything go well from now on. Nothing may wait for ever.

    Who is asked is ready, who is told to stop ends, and what a command has stopped is started.
    """
    for _ in range(100):
        state = history.state
        if state.stage == phases.STOPPED or (state.stage == phases.RUNNING and not history.is_degraded()):
            return
        answers: list[Event] = [Ready(each.plan.name) for each in state.services.values() if is_asked(each)]
        answers += [ended(each.plan.name) for each in state.services.values() if each.phase == phases.TERMINATING]
        if state.stage == phases.RUNNING:
            stopped = [each.plan.name for each in state.services.values() if each.phase == phases.STOPPED]
            answers += [Requested(name, START) for name in stopped]
        due = history.now + 0.1 if answers else history.due
        assert due != NEVER, "nothing is due, and the stack does not run"
        history.at(due, *answers)
    pytest.fail("the stack neither runs nor rests")


@any_stack
@given(steps=STEPS)
def test_whatever_happens_a_start_ends_in_running_or_with_the_service_that_failed(
    plans: tuple[ServicePlan, ...], steps: list[Step]
) -> None:
    """Crashes, refused spawns, late answers, commands and a sleeping machine leave no other state."""
    history = History(plans)
    live(history, steps)
    calm_down(history)
    failed = history.state.failed
    assert history.state.stage == (phases.STOPPED if failed else phases.RUNNING)
    assert not failed or history[failed].error


@any_stack
@given(before=STEPS, after=STEPS)
def test_a_stack_that_ran_once_always_runs_again(
    plans: tuple[ServicePlan, ...], before: list[Step], after: list[Step]
) -> None:
    """No service of it is given up, whether it crashes, hangs, is stopped by commands, or its machine sleeps."""
    history = History(plans)
    calm_down(history)
    live(history, before)
    calm_down(history)
    live(history, after)
    calm_down(history)
    assert (history.state.stage, history.state.failed) == (phases.RUNNING, "")


@any_stack
@given(before=STEPS, now=st.booleans(), after=STEPS)
def test_a_stop_at_any_time_ends_with_everything_stopped_in_order(
    plans: tuple[ServicePlan, ...], before: list[Step], after: list[Step], *, now: bool
) -> None:
    """From the highest stop order down; nothing that happens afterwards starts anything again."""
    history = History(plans)
    live(history, before)
    history.terminated.clear()
    history.at(history.now, StopRequested(now=now))
    live(history, after)
    calm_down(history)
    assert history.state.stage == phases.STOPPED
    assert not [each for each in history.state.services.values() if each.phase in ALIVE]
    orders = [history[name].plan.stop_order for name in history.terminated]
    assert all(earlier >= later for earlier, later in pairwise(orders))
