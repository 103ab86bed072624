"""Histories replayed against `decide`: services that do not answer, and the services that need them."""

import pytest

from stigmer_launcher.install.payload import Liveness
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.lifecycle import NEVER, START, STOP, NotReady, Ready, Requested, StopRequested
from support.histories import (
    EXTERNAL,
    PLANS,
    WATCHED,
    History,
    check,
    crashed,
    ended,
    kill,
    killed,
    prove,
    spawn,
    terminate,
)

REFUSED = "connection refused"
NO_POLLER = "no worker polls the queue a"
NOT_RECOVERED = f"did not work again within 60 s of the return of temporal: {NO_POLLER}"


def single_service(*, managed: bool = True) -> History:
    """Return a stack of one service, which has been running since 100 s."""
    history = History((WATCHED[0]._replace(managed=managed),))
    history.at(100.0, Ready("temporal"))
    return history


def degraded_service(*, managed: bool = True) -> History:
    """Return a stack of one service, which failed its first check at 135 s."""
    history = single_service(managed=managed)
    history.at(130.0)
    assert history.at(135.0, NotReady("temporal", REFUSED)) == ()
    return history


def kill_temporal(history: History, now: float) -> History:
    """Kill Temporal and let it be respawned half a second later."""
    assert history.at(now, killed("temporal")) == ()
    assert history.at(now + 0.5) == (spawn("temporal"),)
    return history


# --- liveness ----------------------------------------------------------------------------------------------------------


def test_the_liveness_of_a_ready_service_is_checked_at_each_interval() -> None:
    history = single_service()
    for due in (130.0, 161.0, 192.0):
        assert history.due == due
        assert history.at(due) == (check("temporal"),)
        assert history.at(due + 1, Ready("temporal")) == ()
        assert not history.is_degraded()


def test_no_service_is_checked_before_the_whole_stack_runs() -> None:
    """Services that are starting need the processor."""
    history = History(WATCHED)
    history.at(100.5, Ready("temporal"), Ready("server"))
    history.at(101.0, Ready("flows"))
    assert history.at(140.0) == ()
    assert history.at(141.0, Ready("agents")) == ()
    assert history.at(181.0) == (check("temporal"), check("server"), check("flows"))


def test_a_service_that_does_not_answer_is_degraded_until_it_does() -> None:
    """An answer resets the count of failures."""
    history = single_service()
    history.at(130.0)
    history.at(134.9)
    assert not history.is_degraded()
    history.at(135.0)
    assert history.is_degraded()
    assert (history["temporal"].phase, history["temporal"].not_ready_reason) == (phases.DEGRADED, "no answer")
    history.at(165.0)
    assert history.at(190.0, Ready("temporal")) == ()
    service = history["temporal"]
    assert (service.phase, service.failures, service.not_ready_reason, service.restarts) == ("running", 0, "", 0)
    assert history.due == 220.0


def test_a_service_that_fails_several_checks_in_a_row_is_stopped_and_restarted() -> None:
    history = degraded_service()
    assert history.at(165.0) == ()
    assert history.at(195.0) == (terminate("temporal"),)
    history.at(196.0, Ready("temporal"))
    assert history["temporal"].phase == phases.TERMINATING, "the answer comes too late"
    assert history.at(205.0) == (kill("temporal"),)
    history.at(205.1, killed("temporal"))
    assert history["temporal"].phase == phases.BACKOFF
    assert history.at(205.6) == (spawn("temporal"),)
    history.at(206.0, Ready("temporal"))
    service = history["temporal"]
    assert (service.phase, service.restarts, service.failures) == (phases.RUNNING, 1, 0)
    assert service.error == f"failed 3 liveness checks in a row: {REFUSED}"


@pytest.mark.parametrize("late", [5.1, 3600.0, 1e7])
def test_a_deadline_noticed_long_after_it_passed_is_extended(late: float) -> None:
    """The machine slept or was overloaded, so the service gets its full time from now on."""
    history = single_service()
    history.at(130.0)
    history.at(135.0 + late)
    assert (history["temporal"].phase, history.due) == (phases.RUNNING, 140.0 + late)


def test_an_external_service_is_degraded_until_it_answers() -> None:
    history = degraded_service(managed=False)
    assert history.due == NEVER
    assert history.at(1e6) == ()
    assert history["temporal"].phase == phases.DEGRADED
    history.at(1e6, Ready("temporal"))
    assert not history.is_degraded()


def test_an_external_service_is_not_stopped_by_its_first_failure() -> None:
    """Even if the manifest allows no more than one."""
    plan = WATCHED[0]._replace(managed=False, liveness=Liveness(30, 5, failures=1))
    history = History((plan,))
    history.at(100.0, Ready("temporal"))
    history.at(130.0)
    assert history.at(135.0) == ()
    assert history["temporal"].phase == phases.DEGRADED


def test_a_stop_ends_the_checks_and_terminates_a_degraded_service() -> None:
    history = degraded_service()
    assert history.at(165.0, StopRequested()) == (terminate("temporal"),)
    history.at(166.0, ended("temporal"))
    assert history.state.stage == phases.STOPPED


# --- services that need one that is down ---------------------------------------------------------------------------------


def test_services_that_need_one_that_does_not_answer_are_not_blamed() -> None:
    """Not even the one that was checked first; each must prove that it works when the needed one is back."""
    history = History(WATCHED).started()
    assert history.at(121.0) == (check("flows"),)
    assert history.at(126.0, NotReady("flows", "no answer")) == (check("temporal"),)
    assert history["flows"].phase == phases.DEGRADED
    history.at(131.0, NotReady("temporal", "no answer"))
    assert history.phases == ["degraded", "running", "running", "running"]
    assert history["flows"].deadline == history["agents"].deadline == NEVER
    assert history.at(141.0, Ready("temporal")) == (check("server"), prove("flows"), prove("agents"))
    history.at(142.0, Ready("server"), Ready("flows"), Ready("agents"))
    assert not history.is_degraded()


def test_a_failed_check_neither_shortens_the_check_of_a_needed_service_nor_adds_one() -> None:
    """Temporal may be asked already, and it may have no liveness checks at all."""
    first, *_, last = WATCHED
    for every, due in ((3.0, 129.0), (NEVER, NEVER)):
        temporal = first._replace(liveness=first.liveness._replace(every=every, timeout=25))
        history = History((temporal, last._replace(liveness=WATCHED[2].liveness)))
        history.at(100.0, Ready("temporal"))
        history.at(101.0, Ready("agents"))
        history.at(104.0)
        assert check("agents") in history.at(121.0)
        assert history.at(126.0, NotReady("agents", REFUSED)) == ()
        assert (history["temporal"].phase, history["temporal"].deadline) == (phases.RUNNING, due)


def test_a_service_is_not_blamed_while_its_need_is_stopping() -> None:
    """Its time is suspended at the signal, and not only when Temporal has ended."""
    history = History().started()
    history.at(200.0, killed("flows"))
    assert history.at(200.5) == (spawn("flows"),)
    assert history.at(255.0, Requested("temporal", STOP)) == (terminate("temporal"),)
    assert history.at(261.0) == ()
    assert history["flows"].phase == phases.STARTING


def test_no_dependent_is_blamed_when_all_deadlines_pass_together() -> None:
    """In any order of the services in the manifest."""
    for plans in (WATCHED, WATCHED[::-1]):
        history = History(tuple(plan._replace(liveness=Liveness(30, 5, 3)) for plan in plans))
        history.at(100.0, Ready("temporal"), Ready("server"))
        history.at(100.0, Ready("flows"), Ready("agents"))
        history.at(130.0)
        history.at(135.0, Ready("server"))
        assert {each.plan.name for each in history.state.services.values() if each.phase == phases.DEGRADED} == {
            "temporal"
        }


def test_services_that_need_one_that_is_still_recovering_are_not_checked() -> None:
    """In a chain of three, the second must prove itself before the third is checked."""
    first, second, third, _ = WATCHED
    often = second.liveness._replace(every=30)
    chain = (
        first._replace(liveness=often._replace(every=1000)),
        second._replace(needs=("temporal",), liveness=often),
        third._replace(needs=("server",), liveness=often),
    )
    history = History(chain)
    for now, name in ((100.0, "temporal"), (101.0, "server"), (102.0, "flows")):
        history.at(now)
        history.at(now, Ready(name))
    kill_temporal(history, 110.0)
    assert history.at(111.0, Ready("temporal")) == (prove("server"),)
    assert history.at(140.0) == ()
    assert history["flows"].phase == phases.RUNNING
    history.at(145.0, Ready("server"))
    assert history.at(170.0) == (check("flows"),)


def test_a_service_with_two_needs_proves_itself_after_both_of_them() -> None:
    """Earlier, it could be blamed for a fault of the second one."""
    first, second, _, third = PLANS
    both = ("temporal", "server")
    history = History((first, second._replace(needs=("temporal",)), third._replace(needs=both)))
    for name in (*both, "agents"):
        history.at(101.0, Ready(name))
    kill_temporal(history, 200.0)
    assert history.at(201.0, Ready("temporal")) == (prove("server"),)
    assert history.at(202.0, Ready("server")) == (prove("agents"),)
    assert history.at(203.0, Ready("agents")) == ()
    assert not history.is_degraded()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_service_waits_while_its_need_lacks_another_service(order: tuple[int, ...]) -> None:
    """It could be blamed for that one otherwise; the order of services in the manifest does not matter."""
    first, second, third = WATCHED[0], WATCHED[1]._replace(needs=("temporal",)), WATCHED[2]._replace(needs=("server",))
    history = History(tuple((first, second, third)[index] for index in order))
    for now, name in ((100.0, "temporal"), (101.0, "server"), (102.0, "flows")):
        history.at(now)
        history.at(now, Ready(name))
    history.at(110.0, Requested("temporal", STOP))
    history.at(111.0, ended("temporal"))
    assert history.at(122.0) == (), "liveness is not checked"
    history.at(123.0, killed("flows"))
    assert history.at(123.5) == (), "not started yet"
    assert history.at(200.0, Requested("temporal", START)) == (spawn("temporal"),)
    assert history.at(201.0, Ready("temporal")) == (prove("server"),)
    assert history.at(202.0, Ready("server")) == (spawn("flows"),)


def test_services_prove_that_they_work_after_the_return_of_an_external_temporal() -> None:
    """One that does not is restarted, with the reason as its error."""
    history = History(EXTERNAL).started()
    history.at(130.5)
    history.at(135.5)
    assert history["temporal"].phase == phases.DEGRADED
    assert set(history.at(400.0, Ready("temporal"), Ready("server"))) >= {prove("flows"), prove("agents")}
    history.at(401.0, Ready("agents"), NotReady("flows", NO_POLLER))
    assert terminate("flows") in history.at(460.0)
    assert history["flows"].error == NOT_RECOVERED


def test_services_that_need_a_restarted_one_prove_that_they_work() -> None:
    """They do so once it is ready, and the stack is degraded until then; other services are not affected."""
    history = kill_temporal(History().started(), 200.0)
    assert history["flows"].phase == phases.RUNNING
    assert history.at(201.0, Ready("temporal")) == (prove("flows"), prove("agents"))
    assert history.phases == [phases.RUNNING, phases.RUNNING, phases.PROVING, phases.PROVING]
    assert history.at(202.0, Ready("flows"), NotReady("agents", NO_POLLER)) == ()
    assert history.is_degraded()
    assert history.at(203.0, Ready("agents")) == ()
    assert (history.is_degraded(), history.due, history["flows"].restarts) == (False, NEVER, 0)


def test_a_service_that_does_not_recover_in_time_is_restarted_with_the_reason() -> None:
    """It has as much time as for its first start, counted from the moment when Temporal is ready."""
    history = kill_temporal(History().started(), 200.0)
    history.at(201.0, Ready("temporal"))
    history.at(202.0, Ready("agents"), NotReady("flows", NO_POLLER))
    assert history.due == 261.0
    assert history.at(261.0) == (terminate("flows"),)
    history.at(262.0, ended("flows"))
    assert history["flows"].phase == phases.BACKOFF
    assert history.at(262.5) == (spawn("flows"),)
    assert history.at(263.0, Ready("flows")) == ()
    assert (history["flows"].error, history.is_degraded()) == (NOT_RECOVERED, False)


def test_the_deadline_is_suspended_while_the_needed_service_is_down_again() -> None:
    """A service is not blamed for the fault of another; it is probed again when that one is back."""
    history = kill_temporal(History().started(), 200.0)
    history.at(201.0, Ready("temporal"))
    history.at(230.0, killed("temporal"))
    assert history.at(231.0, NotReady("flows", "cannot connect")) == (spawn("temporal"),)
    assert history.at(280.0) == ()
    assert history["flows"].phase == phases.PROVING
    assert history.at(290.0, Ready("temporal")) == (prove("flows"), prove("agents"))
    assert history.due == 350.0


def test_a_service_that_is_starting_when_its_need_ends_is_restarted_after_it() -> None:
    """A service that connects only once, at its start, would never become ready."""
    history = History().started()
    history.at(200.0, killed("flows"))
    assert history.at(200.5) == (spawn("flows"),)
    assert history.at(210.0, killed("temporal")) == (terminate("flows"),)
    history.at(210.2, ended("flows"))
    assert history.at(210.5) == (spawn("temporal"),)
    assert history.at(265.0, Ready("temporal")) == (prove("agents"), spawn("flows"))
    assert (history["flows"].phase, history["flows"].deadline) == (phases.STARTING, 325.0)
    history.at(266.0, Ready("flows"), Ready("agents"))
    assert not history.is_degraded()


def test_a_service_that_is_starting_when_its_need_stops_answering_gets_its_full_time_again() -> None:
    """The needed one has not ended and may answer soon, so the service is not restarted."""
    history = History(WATCHED).started()
    history.at(129.0, killed("flows"))
    assert history.at(129.5) == (spawn("flows"),)
    assert check("temporal") in history.at(131.0)
    history.at(131.0, NotReady("temporal", "no answer"))
    assert history.at(136.5) == ()
    assert (history["temporal"].phase, history["flows"].deadline) == (phases.DEGRADED, NEVER)
    assert history.at(137.0, Ready("temporal")) == (prove("flows"), prove("agents"))
    assert (history["flows"].phase, history["flows"].deadline) == (phases.STARTING, 197.0)


def test_a_service_that_crashes_while_its_need_is_down_is_restarted_after_it() -> None:
    """It would only crash again earlier."""
    history = History().started()
    history.at(200.0, killed("flows"))
    assert history.at(200.5) == (spawn("flows"),)
    history.at(201.0, killed("temporal"), crashed("flows"))
    assert history.at(201.5) == (spawn("temporal"),)
    assert history["flows"].phase == phases.WAITING
    assert spawn("flows") in history.at(202.5, Ready("temporal"))


def test_a_stop_ends_the_probes() -> None:
    """Services that are about to stop are not probed."""
    history = kill_temporal(History().started(), 200.0)
    history.at(201.0, Ready("temporal"))
    assert history.at(202.0, StopRequested()) == (terminate("flows"),)
    assert history.at(203.0, ended("flows")) == (terminate("agents"),)
    assert history.at(203.5, Ready("agents")) == ()
