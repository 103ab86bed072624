"""Histories replayed against the pure decision: whatever happened, the stack comes to run, or to rest with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise import lifecycle as life
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.decide import find
from stigmer_launcher.supervise.lifecycle import Exited, NotReady, Ready, StopRequested
from support.histories import PLANS, WATCHED, History, is_asked

Named = Ready | Exited | NotReady
Step = tuple[float, Named]
EXTERNAL = (WATCHED[0]._replace(managed=False), *WATCHED[1:])
NAMES = st.sampled_from([plan.name for plan in PLANS])
PAUSES = st.one_of(st.just(0.0), st.floats(0.001, 100), st.floats(3600, 1e7))  # a machine sleeps, too
EVENTS: st.SearchStrategy[Named] = st.one_of(
    NAMES.map(Ready),
    NAMES.map(lambda name: Exited(name, "was ended by SIGKILL", outside=True)),
    NAMES.map(lambda name: Exited(name, "exited with status 1")),
    NAMES.map(lambda name: Exited(name, "could not be run: Resource temporarily unavailable")),
    NAMES.map(lambda name: NotReady(name, "nothing listens")),
)
STEPS: st.SearchStrategy[list[Step]] = st.lists(st.tuples(PAUSES, EVENTS), max_size=30)


def live(history: History, steps: list[Step]) -> list[life.Action]:
    """Let happen what can: only a process that was spawned ends, and only who is asked is ready. Give the actions."""
    actions: list[life.Action] = []
    for pause, event in steps:
        actions += history.at(history.now + pause)
        service = find(history.state, event.name)
        ends = service.phase in life.ALIVE and service.plan.managed
        if ends if isinstance(event, Exited) else is_asked(service):
            actions += history.at(history.now, event)
    return actions


@pytest.mark.parametrize("plans", [PLANS, WATCHED, EXTERNAL], ids=["ours", "watched", "external"])
@given(steps=STEPS)
def test_whatever_happens_a_start_ends_in_running_or_with_the_service_that_failed(
    plans: tuple[Plan, ...], steps: list[Step]
) -> None:
    history = History(plans)
    history.at(100.0)
    live(history, steps)
    history.calm_down()
    failed = history.state.failed
    assert history.state.stage == (phases.STOPPED if failed else phases.RUNNING)
    assert not failed or find(history.state, failed).error


@pytest.mark.parametrize("plans", [PLANS, WATCHED, EXTERNAL], ids=["ours", "watched", "external"])
@given(before=STEPS, after=STEPS)
def test_a_stack_that_ran_once_always_runs_again(
    plans: tuple[Plan, ...], before: list[Step], after: list[Step]
) -> None:
    """No service of it is given up, whether it crashes, hangs, or its machine sleeps."""
    history = History(plans).started()
    live(history, before)
    history.calm_down()
    live(history, after)
    history.calm_down()
    assert (history.state.stage, history.state.failed) == (phases.RUNNING, "")


@pytest.mark.parametrize("plans", [PLANS, WATCHED, EXTERNAL], ids=["ours", "watched", "external"])
@given(before=STEPS, now=st.booleans(), after=STEPS)
def test_a_stop_at_any_time_ends_with_everything_stopped(
    plans: tuple[Plan, ...], before: list[Step], after: list[Step], *, now: bool
) -> None:
    history = History(plans)
    history.at(100.0)
    live(history, before)
    history.at(history.now, StopRequested(now=now))
    live(history, after)
    history.calm_down()
    assert history.state.stage == phases.STOPPED
    assert not [each for each in history.state.services if each.phase in life.ALIVE]


@given(steps=STEPS)
def test_a_service_of_somebody_else_is_never_signalled(steps: list[Step]) -> None:
    history = History(EXTERNAL).started()
    done = live(history, steps)
    assert "temporal" not in [action.name for action in done if isinstance(action, life.Signal)]
