"""Histories replayed against the pure decision: commands stop, start and restart one service while the others go on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise import lifecycle as life
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.decide import STOPPED_BY_COMMAND, find, is_degraded, next_due
from stigmer_launcher.supervise.lifecycle import (
    KILL,
    NEVER,
    TERMINATE,
    Event,
    Exited,
    Prove,
    Ready,
    ServiceStartRequested,
    ServiceStopRequested,
    Signal,
    Spawn,
    StopRequested,
)
from support.histories import PLANS, WATCHED, History, is_asked

NAMES = tuple(plan.name for plan in PLANS)
ENDED = "exited with status 0"


def stopped(*names: str) -> History:
    """Give a stack that ran, and in which these services were stopped by commands."""
    history = History().started()
    for name in names:
        assert history.at(200.0, ServiceStopRequested(name)) == (Signal(name, TERMINATE),)
        assert history.at(201.0, Exited(name, ENDED)) == ()
    return history


def test_a_service_that_was_stopped_stays_stopped_and_the_others_go_on() -> None:
    history = stopped("flows")
    assert [history.phase(name) for name in NAMES] == ["running", "running", "stopped", "running"]
    assert find(history.state, "flows").error == STOPPED_BY_COMMAND
    assert is_degraded(history.state)
    assert next_due(history.state) == NEVER
    assert history.at(1e6) == ()


def test_a_service_that_does_not_stop_within_its_grace_is_killed() -> None:
    history = History().started()
    history.at(200.0, ServiceStopRequested("flows"))
    assert history.at(204.9) == ()
    assert history.at(205.0) == (Signal("flows", KILL),)
    history.at(205.1, Exited("flows", "killed by SIGKILL"))
    assert history.phase("flows") == phases.STOPPED


def test_a_stopped_service_is_started_by_a_command_without_a_pause() -> None:
    history = stopped("flows")
    assert history.at(300.0, ServiceStartRequested("flows")) == (Spawn("flows"),)
    history.at(301.0, Ready("flows"))
    assert not is_degraded(history.state)
    assert (find(history.state, "flows").error, find(history.state, "flows").restarts) == ("", 0)


def test_a_restart_is_a_stop_and_a_start() -> None:
    """Those that need the service prove once more that they work."""
    history = History().started()
    requests = (ServiceStopRequested("temporal"), ServiceStartRequested("temporal"))
    assert history.at(200.0, *requests) == (Signal("temporal", TERMINATE),)
    assert history.at(201.0, Exited("temporal", ENDED)) == (Spawn("temporal"),)
    assert history.at(202.0, Ready("temporal")) == (Prove("flows"), Prove("agents"))
    assert find(history.state, "temporal").crashes == ()


def test_a_service_that_keeps_crashing_is_stopped_and_restarted_at_once() -> None:
    """It does not wait for the end of its pause, and its next pause is short again."""
    history = History().started()
    for now in (200.0, 300.0, 400.0):
        history.at(now, Exited("flows", "exited with status 1"))
        history.at(now + 50)
    history.at(500.0, Exited("flows", "exited with status 1"))
    assert history.phase("flows") == phases.BACKOFF
    assert history.at(500.1, ServiceStopRequested("flows")) == ()
    assert history.phase("flows") == phases.STOPPED
    assert history.at(500.2, ServiceStartRequested("flows")) == (Spawn("flows"),)
    history.at(501.0, Exited("flows", "exited with status 1"))
    assert next_due(history.state) == 501.5


def test_a_service_that_is_told_to_go_for_its_lateness_can_be_stopped() -> None:
    history = History().started()
    history.at(200.0, Exited("flows", "exited with status 1"))
    history.at(200.5)
    assert history.at(260.5) == (Signal("flows", TERMINATE),)
    assert history.at(261.0, ServiceStopRequested("flows")) == ()
    assert history.at(262.0, Exited("flows", ENDED)) == ()
    assert find(history.state, "flows").error == STOPPED_BY_COMMAND


def test_whoever_needs_a_stopped_service_is_not_blamed_for_it() -> None:
    """It has no deadline while the other is down."""
    history = History().started()
    history.at(200.0, Exited("flows", "exited with status 1"))
    assert history.at(200.5) == (Spawn("flows"),)
    history.at(201.0, ServiceStopRequested("temporal"))
    history.at(202.0, Exited("temporal", ENDED))
    assert history.at(1000.0) == ()
    assert history.at(1001.0, ServiceStartRequested("temporal")) == (Spawn("temporal"),)
    assert history.at(1002.0, Ready("temporal"))[0] == Prove("flows")


def test_a_start_brings_back_what_the_service_needs() -> None:
    history = stopped("temporal", "flows")
    assert history.at(300.0, ServiceStartRequested("flows")) == (Spawn("temporal"),)
    assert history.at(301.0, Ready("temporal")) == (Prove("agents"), Spawn("flows"))


@pytest.mark.parametrize("name", NAMES)
def test_starting_a_service_that_runs_changes_nothing(name: str) -> None:
    history = History().started()
    before = history.state
    assert history.at(200.0, ServiceStartRequested(name)) == ()
    assert history.state == before


def test_nothing_is_stopped_alone_while_the_stack_starts() -> None:
    """The start would never be complete."""
    history = History()
    history.at(100.0)
    assert history.at(100.1, ServiceStopRequested("server")) == ()
    assert history.phase("server") == phases.STARTING


def test_a_service_of_somebody_else_is_not_stopped() -> None:
    history = History((PLANS[0]._replace(managed=False), *PLANS[1:])).started()
    assert history.at(200.0, ServiceStopRequested("temporal")) == ()
    assert not is_degraded(history.state)


def test_a_stop_of_everything_stops_what_is_being_restarted() -> None:
    history = History().started()
    history.at(200.0, ServiceStopRequested("agents"), ServiceStartRequested("agents"))
    history.at(200.1, StopRequested())
    history.at(200.2, Exited("agents", ENDED), Exited("flows", ENDED))
    assert history.at(200.3, Exited("server", ENDED)) == (Signal("temporal", TERMINATE),)
    history.at(200.4, Exited("temporal", ENDED))
    assert history.state.stage == phases.STOPPED


BEFALLS = st.sampled_from(("ready", "killed", "stop", "start", "restart"))


@pytest.mark.parametrize("plans", [PLANS, WATCHED], ids=["ours", "watched"])
@given(befalls=st.lists(st.tuples(st.floats(0.0, 90.0), st.sampled_from(NAMES), BEFALLS), max_size=40))
def test_whatever_commands_were_given_a_start_of_all_services_makes_the_stack_run(
    plans: tuple[Plan, ...], befalls: list[tuple[float, str, str]]
) -> None:
    """No sequence of crashes, stops and restarts leaves a service that cannot be brought back."""
    history = History(plans).started()
    for pause, name, what in befalls:
        history.at(history.now + pause)
        service = find(history.state, name)
        events: dict[str, tuple[Event, ...]] = {
            "ready": (Ready(name),) if is_asked(service) else (),
            "killed": (Exited(name, "killed by SIGKILL", outside=True),) if service.phase in life.ALIVE else (),
            "stop": (ServiceStopRequested(name),),
            "start": (ServiceStartRequested(name),),
            "restart": (ServiceStopRequested(name), ServiceStartRequested(name)),
        }
        history.at(history.now, *events[what])
    history.calm_down()
    assert history.state.stage == phases.RUNNING
