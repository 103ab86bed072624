"""Histories replayed against the pure decision: however things went, a stop comes to its end, and in order."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise import lifecycle as life
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.decide import find, next_due
from stigmer_launcher.supervise.lifecycle import (
    KILL,
    NEVER,
    TERMINATE,
    Event,
    Exited,
    NotReady,
    Ready,
    Signal,
    StopRequested,
)
from support.histories import PIDS, PLANS, History


def test_stopping_goes_by_the_stop_order_and_waits_for_each() -> None:
    history = History().started()
    order = []
    actions = history.at(200.0, StopRequested())
    while actions:
        (signal,) = actions
        order.append(signal)
        assert history.at(history.now + 1) == ()
        actions = history.at(history.now + 2, Exited(signal.name, "exited with status 0"))
    assert order == [Signal(name, TERMINATE) for name in ("flows", "agents", "server", "temporal")]
    assert history.state.stage == phases.STOPPED
    assert history.state.failed == ""


def test_services_of_the_same_stop_order_stop_together() -> None:
    plans = (Plan("temporal", stop_order=1), Plan("flows", stop_order=2), Plan("agents", stop_order=2))
    history = History(plans)
    history.at(100.0)
    assert history.at(101.0, StopRequested()) == (Signal("flows", TERMINATE), Signal("agents", TERMINATE))


def test_a_service_that_ignores_the_signal_is_killed_when_its_grace_is_over() -> None:
    history = History().started()
    history.at(200.0, StopRequested())
    assert next_due(history.state) == 205.0
    assert history.at(204.9) == ()
    assert history.at(205.0) == (Signal("flows", KILL),)
    assert next_due(history.state) == NEVER
    assert history.at(206.0) == ()
    assert history.at(206.1, Exited("flows", "killed by SIGKILL", outside=True)) == (Signal("agents", TERMINATE),)


def test_asked_again_it_does_not_wait_for_any_grace() -> None:
    """The second Ctrl-C kills, still in the order."""
    history = History().started()
    history.at(200.0, StopRequested())
    assert history.at(200.1, StopRequested(now=True)) == (Signal("flows", KILL),)
    history.at(200.2, Exited("flows", "killed by SIGKILL", outside=True))
    assert history.at(200.3) == (Signal("agents", KILL),)


def test_asked_twice_politely_it_goes_on_as_before() -> None:
    """Two `stop` commands at once do not take the services' grace away."""
    history = History().started()
    history.at(200.0, StopRequested())
    assert history.at(200.1, StopRequested()) == ()
    assert next_due(history.state) == 205.0


def test_a_stop_during_the_start_starts_nothing_more() -> None:
    history = History()
    history.at(100.0)
    assert history.at(100.1, StopRequested()) == (Signal("server", TERMINATE),)
    assert history.at(100.2, Ready("temporal")) == ()
    history.at(100.3, Exited("server", "x"))
    history.at(100.4, Exited("temporal", "x"))
    assert history.state.stage == phases.STOPPED
    assert {service.phase for service in history.state.services} == {phases.STOPPED}


def test_a_crash_seen_with_the_stop_is_no_crash() -> None:
    """A machine that shuts down signals services and supervisor at the same time."""
    history = History().started()
    history.at(200.0, StopRequested(), Exited("temporal", "killed by SIGTERM", outside=True))
    assert history.phase("temporal") == phases.STOPPED
    assert find(history.state, "temporal").restarts == 0


def test_a_failed_service_does_not_keep_the_rest_from_stopping() -> None:
    """It stays `failed`, so that its error can be read afterwards."""
    history = History()
    history.at(100.0)
    history.at(100.5, Ready("temporal"))
    actions = history.at(101.0, Exited("agents", "exited with status 1"))
    while actions:
        actions = history.at(history.now + 1, *(Exited(action.name, "x") for action in actions))
    assert history.state.stage == phases.STOPPED
    assert history.phase("agents") == phases.FAILED


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_nothing_is_due_without_end(grace: float) -> None:
    """A time that has passed is acted on once; otherwise the loop would spin."""
    history = History(tuple(plan._replace(grace=grace) for plan in PLANS)).started()
    history.at(200.0, StopRequested())
    for _ in range(3):
        due = next_due(history.state)
        history.at(min(due, 1e6))
        assert next_due(history.state) > due or due == NEVER


EVENTS = st.one_of(
    st.sampled_from(sorted(PIDS)).map(Ready),
    st.tuples(st.sampled_from(sorted(PIDS)), st.booleans()).map(lambda pair: Exited(pair[0], "x", pair[1])),
    st.sampled_from(sorted(PIDS)).map(lambda name: NotReady(name, "y")),
)


@given(st.lists(st.tuples(st.floats(0.001, 30), EVENTS), max_size=60))
def test_whatever_happens_a_stop_ends_in_stopped_and_in_order(steps: list[tuple[float, Event]]) -> None:
    """After any history a stop signals only what lives, from the highest order down, and comes to an end."""
    history = History()
    history.at(100.0)
    for pause, event in steps:
        if isinstance(event, Exited) and find(history.state, event.name).phase not in life.ALIVE:
            continue  # what does not run does not end
        history.at(history.now + pause, event)
    orders = []
    history.at(history.now + 1, StopRequested())
    for _ in range(30):
        if history.state.stage == phases.STOPPED:
            break
        ending = [service for service in history.state.services if service.phase == phases.TERMINATING]
        assert ending
        orders += [service.plan.stop_order for service in ending]
        history.at(history.now + 0.1, *(Exited(service.plan.name, "x") for service in ending))
    assert history.state.stage == phases.STOPPED
    assert not [service for service in history.state.services if service.phase in life.ALIVE]
    assert all(earlier >= later for earlier, later in pairwise(orders)) or history.state.failed
