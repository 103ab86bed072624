"""Random histories replayed against `decide`: finally the stack runs, or it has stopped with a reason."""

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
from support.histories import CROSSED, EXTERNAL, PLANS, WATCHED, History, crashed, ended, is_probed, killed

Step = tuple[float, tuple[str, tuple[Event, ...]]]


def possible_events(name: str) -> tuple[tuple[Event, ...], ...]:
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


PAUSES = st.one_of(st.just(0.0), st.floats(0.001, 100), st.floats(3600, 1e7))  # includes the sleep of a machine
EVENTS = st.sampled_from([(plan.name, events) for plan in PLANS for events in possible_events(plan.name)])
STEPS = st.lists(st.tuples(PAUSES, EVENTS), max_size=30)
any_stack = pytest.mark.parametrize(
    "plans", [PLANS, WATCHED, EXTERNAL, CROSSED], ids=["managed", "watched", "external", "crossed"]
)


def replay(history: History, steps: list[Step]) -> None:
    """Replay the possible events: only spawned processes end, and only services that are probed become ready."""
    for pause, (name, events) in steps:
        history.at(history.now + pause)
        service = history[name]
        possible = {
            Exited: service.phase in ALIVE and service.plan.managed,
            Ready: is_probed(service),
            NotReady: is_probed(service),
        }
        if possible.get(type(events[0]), True):
            history.at(history.now, *events)


def settle(history: History) -> None:
    """Let everything go well from now on; fail if the stack waits forever.

    Probed services become ready, terminated ones end, and services stopped by a command are started.
    """
    for _ in range(100):
        state = history.state
        if state.stage == phases.STOPPED or (state.stage == phases.RUNNING and not history.is_degraded()):
            return
        answers: list[Event] = [Ready(each.plan.name) for each in state.services.values() if is_probed(each)]
        answers += [ended(each.plan.name) for each in state.services.values() if each.phase == phases.TERMINATING]
        if state.stage == phases.RUNNING:
            stopped = [each.plan.name for each in state.services.values() if each.phase == phases.STOPPED]
            answers += [Requested(name, START) for name in stopped]
        due = history.now + 0.1 if answers else history.due
        assert due != NEVER, "nothing is due, but the stack does not run"
        history.at(due, *answers)
    pytest.fail("the stack neither runs nor has stopped")


@any_stack
@given(steps=STEPS)
def test_every_history_ends_with_a_running_stack_or_with_the_service_that_failed(
    plans: tuple[ServicePlan, ...], steps: list[Step]
) -> None:
    """Crashes, failed spawns, late answers, commands and the sleep of the machine must not lead to any other state."""
    history = History(plans)
    replay(history, steps)
    settle(history)
    failed = history.state.failed
    assert history.state.stage == (phases.STOPPED if failed else phases.RUNNING)
    assert not failed or history[failed].error


@any_stack
@given(before=STEPS, after=STEPS)
def test_a_stack_that_ran_once_always_runs_again(
    plans: tuple[ServicePlan, ...], before: list[Step], after: list[Step]
) -> None:
    """No service is given up after crashes, hangs, stops by commands or the sleep of the machine."""
    history = History(plans)
    settle(history)
    replay(history, before)
    settle(history)
    replay(history, after)
    settle(history)
    assert (history.state.stage, history.state.failed) == (phases.RUNNING, "")


@any_stack
@given(before=STEPS, now=st.booleans(), after=STEPS)
def test_a_stop_at_any_time_stops_everything_in_order(
    plans: tuple[ServicePlan, ...], before: list[Step], after: list[Step], *, now: bool
) -> None:
    """Services stop from the highest stop order down, and no later event starts one again."""
    history = History(plans)
    replay(history, before)
    history.terminated.clear()
    history.at(history.now, StopRequested(now=now))
    replay(history, after)
    settle(history)
    assert history.state.stage == phases.STOPPED
    assert not [each for each in history.state.services.values() if each.phase in ALIVE]
    orders = [history[name].plan.stop_order for name in history.terminated]
    assert all(earlier >= later for earlier, later in pairwise(orders))
