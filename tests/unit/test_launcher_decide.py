"""Histories replayed against `decide`: how a stack starts, and how crashed services are restarted."""

import pytest

from stigmer_launcher.install.payload import Restart
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.lifecycle import NEVER, Exited, NotReady, Ready
from support.histories import EXTERNAL, PLANS, History, crashed, ended, kill, killed, prove, spawn, terminate


def test_a_service_starts_as_soon_as_its_needs_are_ready() -> None:
    """The runners wait for Temporal but not for the server; the stack runs when the last service is ready."""
    history = History()
    assert history.begun == (spawn("temporal"), spawn("server"))
    assert history.at(100.3, NotReady("temporal", "nothing listens")) == ()
    assert history.at(100.4, Ready("temporal")) == (spawn("flows"), spawn("agents"))
    history.at(100.5, Ready("flows"), Ready("agents"))
    assert history.state.stage == phases.STARTING
    history.at(100.6, Ready("server"))
    assert (history.state.stage, history.due) == (phases.RUNNING, NEVER)


def test_a_crash_during_the_start_stops_everything_and_records_the_service() -> None:
    """A start does not retry, as a command waits for it; the service stays `failed`, so that its error can be shown."""
    history = History()
    history.at(100.4, Ready("temporal"))
    assert history.at(100.6, crashed("agents")) == (terminate("flows"),)
    assert (history.state.failed, history["agents"].error) == ("agents", "exited with status 1")
    assert history.at(100.7, ended("flows")) == (terminate("server"),)
    assert history.at(100.8, ended("server")) == (terminate("temporal"),)
    history.at(100.9, ended("temporal"))
    assert (history.state.stage, history["agents"].phase) == (phases.STOPPED, phases.FAILED)


def test_a_service_that_is_not_ready_in_time_fails_the_start_with_the_reason() -> None:
    """The service that is late is stopped like the others."""
    history = History()
    history.at(100.4, Ready("temporal"), NotReady("server", "nothing listens"))
    assert history.due == 160.0
    assert history.at(160.0) == (terminate("flows"),)
    assert history.state.failed == "server"
    assert history["server"].error == "was not ready within 60 s: nothing listens"


def test_a_service_killed_while_running_is_restarted_after_a_pause() -> None:
    """A signal from outside is not the program's fault, so the service is restarted even seconds after its start."""
    history = History().started()
    assert history.at(103.0, killed("agents")) == ()
    assert (history["agents"].phase, history.is_degraded(), history.due) == (phases.BACKOFF, True, 103.5)
    assert history.at(103.5) == (spawn("agents"),)
    history.at(104.0, Ready("agents"))
    assert (history["agents"].restarts, history["agents"].error) == (1, "killed by SIGKILL")
    assert not history.is_degraded()


@pytest.mark.parametrize("error", ["exited with status 1", "could not be run: /a: Resource temporarily unavailable"])
def test_a_restart_that_fails_at_once_is_retried(error: str) -> None:
    """The service was healthy before, so memory or processes may be short for a moment; other services keep running."""
    history = History().started()
    history.at(3700.0, crashed("agents"))
    assert history.at(3700.5) == (spawn("agents"),)
    assert history.at(3700.5, Exited("agents", error)) == ()
    assert (history.phases, history.due) == ([*["running"] * 3, phases.BACKOFF], 3701.5)
    assert history.at(3701.5) == (spawn("agents"),)


def test_pauses_double_up_to_a_limit_and_a_once_healthy_service_is_always_restarted() -> None:
    """0.5, 1, 2, 4, 8, 16 seconds, then 30 seconds before every restart."""
    history = History().started()
    history.now, pauses = 200.0, []
    for _ in range(50):
        history.at(history.now, crashed("agents"))
        pauses.append(history.due - history.now)
        assert history.at(history.due) == (spawn("agents"),)
    assert pauses == [0.5, 1, 2, 4, 8, 16, *[30] * 44]


def test_pauses_follow_the_restart_policy_and_crashes_outside_its_window_do_not_count() -> None:
    history = History(PLANS, Restart(first_pause=2, longest_pause=5, window=60, limit=0)).started()
    pauses = []
    for later in (0, 0, 0, 0, 61):
        history.at(history.now + later, crashed("temporal"))
        pauses.append(history.due - history.now)
        history.at(history.due)
    assert pauses == [2, 4, 5, 5, 2]


def test_a_service_that_crashes_a_thousand_times_within_the_window_is_restarted() -> None:
    """The manifest allows a window of a day and a pause of 0.1 s."""
    history = History(PLANS, Restart(first_pause=0.1, longest_pause=0.1, window=86400)).started()
    for _ in range(1100):
        history.at(history.now, crashed("temporal"))
        assert history.at(history.due) == (spawn("temporal"),)
    assert history["temporal"].restarts == 1100


def test_a_service_killed_from_outside_during_the_start_is_restarted() -> None:
    """A kill is not the program's fault; the start continues when the service is ready."""
    history = History()
    history.at(100.4, killed("temporal"))
    assert (history.state.stage, history["temporal"].phase) == (phases.STARTING, phases.BACKOFF)
    assert history.at(100.9) == (spawn("temporal"),)
    history.at(101.0, Ready("temporal"), Ready("server"))
    history.at(101.5, Ready("flows"), Ready("agents"))
    assert history.state.stage == phases.RUNNING


@pytest.mark.parametrize("end", [ended("agents"), crashed("agents")])
def test_services_that_are_starting_when_temporal_is_killed_are_restarted_after_it(end: Exited) -> None:
    """Some exit by themselves, others connect only once; the start continues without blaming any of them."""
    history = History()
    history.at(100.4, Ready("temporal"))
    history.at(100.45, Ready("flows"))
    assert history.at(100.5, killed("temporal")) == (terminate("agents"),)
    history.at(100.6, end)
    assert (history.state.failed, history["agents"].phase) == ("", phases.WAITING)
    assert history.at(101.0) == (spawn("temporal"),)
    assert history.at(101.5, Ready("temporal")) == (prove("flows"), spawn("agents"))
    history.at(102.0, Ready("server"), Ready("flows"), Ready("agents"))
    assert (history.state.stage, history["agents"].restarts) == (phases.RUNNING, 0)


def test_a_service_that_does_not_recover_from_a_kill_of_temporal_during_the_start_is_restarted() -> None:
    """It was ready before, so its program works and the start does not fail."""
    history = History()
    history.at(100.4, Ready("temporal"), Ready("server"))
    history.at(100.5, Ready("flows"))
    history.at(101.0, killed("temporal"))
    history.at(101.2, ended("agents"))
    assert history.at(101.5) == (spawn("temporal"),)
    assert history.at(102.0, Ready("temporal")) == (prove("flows"), spawn("agents"))
    assert history.at(162.0) == (terminate("flows"),)
    history.at(162.5, ended("flows"))
    assert "did not work again within 60 s of the return of temporal" in history["flows"].error
    assert history.at(163.0) == (spawn("flows"),)
    history.at(164.0, Ready("flows"), Ready("agents"))
    assert history.state.stage == phases.RUNNING


@pytest.mark.parametrize(("policy", "crashes"), [(Restart(), 6), (Restart(limit=0), 1)])
def test_a_service_that_is_killed_repeatedly_fails_the_start(policy: Restart, crashes: int) -> None:
    """The command that waits for the start must get the reason within seconds."""
    history = History(PLANS, policy)
    for _ in range(crashes):
        assert not history.state.failed
        history.at(history.now + 0.1, killed("server"))
        history.at(min(history.due, history.now + 30))
    assert (history.state.failed, history["server"].error) == ("server", "killed by SIGKILL")


def test_a_restarted_service_waits_for_what_it_needs() -> None:
    """If Temporal and a runner crash together, the runner restarts after Temporal, while the other runner keeps running."""
    history = History().started()
    history.at(200.0, killed("temporal"), killed("flows"))
    assert history["agents"].phase == phases.RUNNING, "a worker reconnects; restarting it would lose its work"
    assert history.at(200.5) == (spawn("temporal"),)
    assert history["flows"].phase == phases.WAITING
    assert spawn("flows") in history.at(201.0, Ready("temporal"))


def test_a_start_waits_for_an_external_service() -> None:
    """Services that need an external Temporal wait for it, and the start fails if it does not answer."""
    history = History(EXTERNAL)
    assert history.begun == (spawn("temporal"), spawn("server"))
    history.at(101.0, NotReady("temporal", "temporal.example:7233: connection refused"))
    history.at(160.0)
    assert (history.state.failed, history["temporal"].phase) == ("temporal", phases.FAILED)
    assert "connection refused" in history["temporal"].error


def test_a_restarted_service_that_does_not_become_ready_is_stopped_and_restarted() -> None:
    """It gets its grace period, and the error is the missed deadline and not the signal that ended it."""
    history = History().started()
    history.at(200.0, killed("server"))
    history.at(200.5)
    assert history.at(260.5) == (terminate("server"),)
    assert history.at(270.5) == (kill("server"),)
    history.at(271.0, killed("server"))
    assert history["server"].phase == phases.BACKOFF
    assert "not ready within" in history["server"].error
