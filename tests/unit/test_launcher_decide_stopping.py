"""Histories replayed against `decide`: commands stop everything in order, or one service while the others run."""

import pytest

from stigmer_launcher.launch.plan import ServicePlan
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.lifecycle import (
    NEVER,
    RESTART,
    START,
    STOP,
    STOPPED_BY_COMMAND,
    Ready,
    Requested,
    Service,
    State,
    StopRequested,
    decide,
)
from stigmer_launcher.system.process import KILL_TIMEOUT
from support.histories import EXTERNAL, PLANS, History, crashed, ended, kill, killed, prove, spawn, terminate

# --- everything --------------------------------------------------------------------------------------------------------


def test_services_stop_one_after_another_in_the_stop_order() -> None:
    """Temporal stops last, after all services that need it have ended."""
    history = History().started()
    history.at(200.0, StopRequested())
    for count, name in enumerate(("flows", "agents", "server", "temporal"), 1):
        assert history.at(history.now + 1) == ()
        assert (len(history.terminated), history.terminated[-1]) == (count, name)
        history.at(history.now + 1, ended(name))
    assert (history.state.stage, history.state.failed) == (phases.STOPPED, "")


def test_services_with_the_same_stop_order_stop_together() -> None:
    history = History(
        (ServicePlan("temporal", stop_order=1), ServicePlan("flows", stop_order=2), ServicePlan("agents", stop_order=2))
    )
    assert history.at(101.0, StopRequested()) == (terminate("flows"), terminate("agents"))


def test_a_service_that_ignores_the_signal_is_killed_after_its_grace_period() -> None:
    """Its exit is awaited for a limited time. Two concurrent `stop` commands do not cut the grace period short."""
    history = History().started()
    history.at(200.0, StopRequested())
    assert history.at(200.1, StopRequested()) == ()
    assert history.due == 205.0
    assert history.at(204.9) == ()
    assert history.at(205.0) == (kill("flows"),)
    assert history.due == 205.0 + KILL_TIMEOUT
    assert history.at(206.0) == ()
    assert history.at(206.1, killed("flows")) == (terminate("agents"),)
    assert history.at(212.0) == (kill("agents"),)
    assert history.at(212.0 + KILL_TIMEOUT) == (kill("agents"),)


def test_a_second_request_to_stop_skips_all_grace_periods() -> None:
    """The second Ctrl-C kills the services, still in order."""
    history = History().started()
    history.at(200.0, StopRequested())
    assert history.at(200.1, StopRequested(now=True)) == (kill("flows"),)
    history.at(200.2, killed("flows"))
    assert history.at(200.3) == (kill("agents"),)


def test_a_second_request_to_stop_does_not_kill_a_service_twice() -> None:
    history = History(tuple(plan._replace(grace=KILL_TIMEOUT) for plan in PLANS)).started()
    history.at(200.0, StopRequested())
    assert history.at(200.0 + KILL_TIMEOUT) == (kill("flows"),)
    assert history.at(200.1 + KILL_TIMEOUT, StopRequested(now=True)) == ()


def test_a_stop_during_the_start_starts_nothing_more() -> None:
    """Waiting services are given up, running ones are stopped."""
    history = History()
    assert history.at(100.1, StopRequested()) == (terminate("server"),)
    assert history.at(100.2, Ready("temporal")) == ()
    history.at(100.3, ended("server"))
    history.at(100.4, ended("temporal"))
    assert history.state.stage == phases.STOPPED
    assert history.phases == [phases.STOPPED] * 4


def test_a_crash_at_the_time_of_a_stop_is_not_counted() -> None:
    """A machine that shuts down signals services and supervisor at the same time."""
    history = History().started()
    history.at(200.0, StopRequested(), killed("temporal"))
    assert (history["temporal"].phase, history["temporal"].restarts) == (phases.STOPPED, 0)


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_a_passed_deadline_is_handled_once(grace: float) -> None:
    """Otherwise the event loop would spin."""
    history = History(tuple(plan._replace(grace=grace) for plan in PLANS)).started()
    history.at(200.0, StopRequested())
    for _ in range(3):
        due = history.due
        history.at(min(due, 1e6))
        assert history.due > due or due == NEVER


# --- one service -------------------------------------------------------------------------------------------------------


def stopped(*names: str) -> History:
    """Return a running stack in which these services were stopped by commands."""
    history = History().started()
    for name in names:
        assert history.at(200.0, Requested(name, STOP)) == (terminate(name),)
        assert history.at(201.0, ended(name)) == ()
    return history


def test_a_stopped_service_stays_stopped_while_the_others_run() -> None:
    history = stopped("flows")
    assert history.phases == ["running", "running", "stopped", "running"]
    assert history["flows"].error == STOPPED_BY_COMMAND
    assert (history.is_degraded(), history.due) == (True, NEVER)
    assert history.at(1e6) == ()


def test_a_stopped_service_is_started_by_a_command_without_a_pause() -> None:
    history = stopped("flows")
    assert history.at(300.0, Requested("flows", START)) == (spawn("flows"),)
    history.at(301.0, Ready("flows"))
    assert (history.is_degraded(), history["flows"].error, history["flows"].restarts) == (False, "", 0)


def test_a_restart_stops_and_starts_a_service() -> None:
    """The services that need it must prove that they work."""
    history = History().started()
    assert history.at(200.0, Requested("temporal", RESTART)) == (terminate("temporal"),)
    assert history.at(201.0, ended("temporal")) == (spawn("temporal"),)
    assert history.at(202.0, Ready("temporal")) == (prove("flows"), prove("agents"))
    assert history["temporal"].crashes == ()


def test_a_killed_service_has_its_full_grace_period_after_a_restart() -> None:
    history = History().started()
    history.at(200.0, Requested("temporal", RESTART))
    assert history.at(210.0) == (kill("temporal"),)
    assert history.at(210.1, killed("temporal")) == (spawn("temporal"),)
    assert history.at(211.0, Ready("temporal"), Requested("temporal", RESTART)) == (terminate("temporal"),)
    assert (history.due, history.at(220.9)) == (221.0, ())


def test_commands_stop_and_start_a_crashing_service_at_once() -> None:
    """A command does not wait for the end of the pause, and resets the length of the next one."""
    history = History().started()
    for now in (200.0, 300.0, 400.0):
        history.at(now, crashed("flows"))
        history.at(now + 50)
    history.at(500.0, crashed("flows"))
    assert history["flows"].phase == phases.BACKOFF
    assert history.at(500.1, Requested("flows", STOP)) == ()
    assert history["flows"].phase == phases.STOPPED
    assert history.at(500.2, Requested("flows", START)) == (spawn("flows"),)
    history.at(501.0, crashed("flows"))
    assert history.due == 501.5


def test_a_service_that_is_terminated_because_it_is_late_can_be_stopped() -> None:
    history = History().started()
    history.at(200.0, crashed("flows"))
    history.at(200.5)
    assert history.at(260.5) == (terminate("flows"),)
    assert history.at(261.0, Requested("flows", STOP)) == ()
    assert history.at(262.0, ended("flows")) == ()
    assert history["flows"].error == STOPPED_BY_COMMAND


def test_services_that_need_a_stopped_one_are_not_blamed_for_it() -> None:
    """They have no deadline while it is down."""
    history = History().started()
    history.at(200.0, crashed("flows"))
    assert history.at(200.5) == (spawn("flows"),)
    history.at(201.0, Requested("temporal", STOP))
    assert history.at(202.0, ended("temporal")) == (terminate("flows"),)
    history.at(202.5, ended("flows"))
    assert history.at(1000.0) == ()
    assert history.at(1001.0, Requested("temporal", START)) == (spawn("temporal"),)
    assert history.at(1002.0, Ready("temporal")) == (prove("agents"), spawn("flows"))


def test_recovering_services_keep_running_when_their_need_is_stopped() -> None:
    """They would otherwise seem to recover for as long as it is stopped; they are probed when it is back."""
    history = History().started()
    history.at(200.0, Requested("temporal", RESTART))
    history.at(201.0, ended("temporal"))
    assert history.at(202.0, Ready("temporal")) == (prove("flows"), prove("agents"))
    assert history.at(202.1, Requested("temporal", STOP)) == (terminate("temporal"),)
    history.at(203.0, ended("temporal"))
    assert history.phases == ["stopped", "running", "running", "running"]
    assert history.at(300.0, Requested("temporal", START)) == (spawn("temporal"),)
    assert history.at(301.0, Ready("temporal")) == (prove("flows"), prove("agents"))


def test_dependents_are_not_blamed_for_a_service_that_crashes_at_the_moment_of_the_command() -> None:
    """The service ended without being terminated."""
    history = History().started()
    history.at(200.0, crashed("flows"))
    assert history.at(200.5) == (spawn("flows"),)
    assert history.at(201.0, Requested("temporal", STOP), crashed("temporal")) == (terminate("flows"),)
    assert history["temporal"].phase == phases.STOPPED
    history.at(201.5, ended("flows"))
    assert history.at(1000.0) == ()


def test_starting_a_service_starts_its_needs() -> None:
    history = stopped("temporal", "flows")
    assert history.at(300.0, Requested("flows", START)) == (spawn("temporal"),)
    assert history.at(301.0, Ready("temporal")) == (prove("agents"), spawn("flows"))


def test_starting_a_service_visits_each_of_its_needs_once() -> None:
    """If each service needs all before it, there are 2 ** 1098 paths from the last to the first."""
    names = [f"service{number}" for number in range(1100)]
    plans = [ServicePlan(name, tuple(reversed(names[:index]))) for index, name in enumerate(names)]
    services = {plan.name: Service(plan, phases.RUNNING) for plan in plans}
    services[names[0]] = Service(plans[0], phases.STOPPED, requested=STOP)
    _, actions = decide(State(services, phases.RUNNING), [Requested(names[-1], START)], 100.0)
    assert actions == (spawn(names[0]),)


def test_starting_a_running_service_changes_nothing() -> None:
    history = History().started()
    before = history.state
    assert history.at(200.0, *(Requested(plan.name, START) for plan in PLANS)) == ()
    assert history.state == before


def test_a_starting_stack_and_an_external_service_ignore_the_stop_of_a_service() -> None:
    """A start could not complete without the service, and an external one is not managed."""
    starting, external = History(), History(EXTERNAL).started()
    for history, name in ((starting, "server"), (external, "temporal")):
        before = history.phases
        assert history.at(102.0, Requested(name, STOP)) == ()
        assert history.phases == before
