"""Histories replayed against the pure decision: after a needed service was restarted, the others prove that they work again."""

from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise import lifecycle as life
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.decide import find, is_degraded, next_due
from stigmer_launcher.supervise.lifecycle import (
    NEVER,
    TERMINATE,
    Event,
    Exited,
    NotReady,
    Prove,
    Ready,
    Signal,
    Spawn,
    StopRequested,
)
from support.histories import History

PLANS = (
    Plan("temporal", stop_order=1, grace=10, seconds=60),
    Plan("server", needs=("temporal",), stop_order=2, grace=10, seconds=60),
    Plan("agents", needs=("temporal",), stop_order=3, grace=5, seconds=120),
    Plan("flows", stop_order=4),
)
NAMES = tuple(plan.name for plan in PLANS)


def running() -> History:
    """Give a stack that runs, its services proved at 101 seconds."""
    history = History(PLANS)
    history.at(100.0)
    history.at(100.5, Ready("temporal"), Ready("flows"))
    history.at(101.0, Ready("server"), Ready("agents"))
    assert history.state.stage == phases.RUNNING
    return history


def temporal_crashed(history: History, now: float) -> History:
    """Let Temporal be killed, and its next process be spawned half a second later."""
    assert history.at(now, Exited("temporal", "killed by SIGKILL", outside=True)) == ()
    assert history.at(now + 0.5) == (Spawn("temporal"),)
    return history


def test_a_server_is_not_started_before_temporal_is_ready() -> None:
    """It dials once, at its start."""
    history = History(PLANS)
    assert history.at(100.0) == (Spawn("temporal"), Spawn("flows"))
    assert history.at(100.4, NotReady("temporal", "nothing listens")) == ()
    assert history.at(100.5, Ready("temporal")) == (Spawn("server"), Spawn("agents"))


def test_whoever_needs_a_restarted_service_proves_that_it_works_again() -> None:
    """When the other is ready, not before; who does not need it is left alone. Until then the stack is degraded."""
    history = temporal_crashed(running(), 200.0)
    assert history.phase("server") == phases.RUNNING
    assert history.at(201.0, Ready("temporal")) == (Prove("server"), Prove("agents"))
    assert [history.phase(name) for name in NAMES] == [phases.RUNNING, phases.PROVING, phases.PROVING, phases.RUNNING]
    assert history.at(202.0, Ready("server"), NotReady("agents", "no worker polls the queue a")) == ()
    assert is_degraded(history.state)
    assert history.at(203.0, Ready("agents")) == ()
    assert not is_degraded(history.state)
    assert next_due(history.state) == NEVER
    assert find(history.state, "server").restarts == 0


def test_a_service_that_does_not_work_again_in_time_is_restarted_and_the_reason_is_said() -> None:
    """It has as long as for its first start, counted from the moment Temporal was ready."""
    history = temporal_crashed(running(), 200.0)
    history.at(201.0, Ready("temporal"))
    history.at(202.0, Ready("agents"), NotReady("server", "no worker polls the queue x"))
    assert next_due(history.state) == 261.0
    assert history.at(261.0) == (Signal("server", TERMINATE),)
    why = "did not work again within 60 s of the return of temporal: no worker polls the queue x"
    assert find(history.state, "server").error == why
    history.at(262.0, Exited("server", "exited with status 0"))
    assert history.phase("server") == phases.BACKOFF
    assert history.at(262.5) == (Spawn("server"),)
    assert history.at(263.0, Ready("server")) == ()
    assert find(history.state, "server").error == why
    assert not is_degraded(history.state)


def test_the_clock_stands_still_while_the_needed_service_is_down_again() -> None:
    """A service is not blamed for what another one lacks; it is asked anew when that one is back."""
    history = temporal_crashed(running(), 200.0)
    history.at(201.0, Ready("temporal"))
    history.at(230.0, Exited("temporal", "killed by SIGKILL", outside=True))
    assert history.at(231.0, NotReady("server", "cannot connect")) == (Spawn("temporal"),)
    assert history.at(280.0) == ()
    assert history.phase("server") == phases.PROVING
    assert history.at(290.0, Ready("temporal")) == (Prove("server"), Prove("agents"))
    assert next_due(history.state) == 350.0


def test_a_service_that_starts_while_the_needed_one_is_restarted_gets_its_time_anew() -> None:
    history = running()
    history.at(200.0, Exited("server", "x", outside=True))
    assert history.at(200.5) == (Spawn("server"),)
    temporal_crashed(history, 210.0)
    assert history.at(265.0, Ready("temporal"))[0] == Prove("server")
    assert history.phase("server") == phases.STARTING
    assert find(history.state, "server").until == 325.0
    history.at(266.0, Ready("server"), Ready("agents"))
    assert not is_degraded(history.state)


def test_a_service_that_crashes_while_a_needed_one_is_down_is_tried_again_when_that_is_back() -> None:
    """Not before: it would fail once more."""
    history = running()
    history.at(200.0, Exited("server", "x", outside=True))
    assert history.at(200.5) == (Spawn("server"),)
    history.at(201.0, Exited("temporal", "y", outside=True), Exited("server", "exited with status 1"))
    assert history.at(201.5) == (Spawn("temporal"),)
    assert history.phase("server") == phases.BACKOFF
    history.at(202.0)
    assert history.phase("server") == phases.WAITING
    assert Spawn("server") in history.at(202.5, Ready("temporal"))


def test_a_stop_ends_the_proving() -> None:
    history = temporal_crashed(running(), 200.0)
    history.at(201.0, Ready("temporal"))
    assert history.at(202.0, StopRequested()) == (Signal("flows", TERMINATE),)
    assert history.at(203.0, Exited("flows", "exited with status 0")) == (Signal("agents", TERMINATE),)
    assert history.at(203.5, Ready("server")) == ()


def moments() -> st.SearchStrategy[list[tuple[float, str, str]]]:
    """Give what may befall the services: pauses in seconds, whom, and what."""
    what = st.sampled_from(("ready", "killed", "exits", "lacks"))
    return st.lists(st.tuples(st.floats(0.1, 90.0), st.sampled_from(NAMES), what), max_size=40)


@given(moments())
def test_whatever_happens_a_stack_is_said_to_run_only_when_all_has_been_proved_since_what_it_needs(
    befalls: list[tuple[float, str, str]],
) -> None:
    """No sequence of crashes and late answers leaves a service counted as running that has proved nothing since."""
    history, now = running(), 200.0
    proved = dict.fromkeys(NAMES, 101.0)
    for pause, name, what in befalls:
        now += pause
        history.at(now)
        service = find(history.state, name)
        events: tuple[Event, ...] = ()
        if what == "ready" and service.phase in (phases.STARTING, phases.PROVING):
            events, proved[name] = (Ready(name),), now
        elif what in ("killed", "exits") and service.phase in life.ALIVE:
            events = (Exited(name, what, outside=what == "killed"),)
        elif what == "lacks" and service.phase in (phases.STARTING, phases.PROVING):
            events = (NotReady(name, "x"),)
        history.at(now, *events)
        if not is_degraded(history.state):
            for each in history.state.services:
                assert all(find(history.state, need).since <= proved[each.plan.name] for need in each.plan.needs)
