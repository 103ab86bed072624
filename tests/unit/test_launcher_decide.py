"""Histories replayed against the pure decision: what happened when, and what was to be done."""

import pytest

from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.decide import find, is_degraded, next_due
from stigmer_launcher.supervise.lifecycle import (
    KILL,
    NEVER,
    TERMINATE,
    Exited,
    NotReady,
    Ready,
    Signal,
    Spawn,
    StopRequested,
)
from support.histories import PLANS, History


def test_everything_runs_when_the_last_service_is_ready() -> None:
    history = History()
    history.at(100.0)
    history.at(100.4, Ready("temporal"), Ready("flows"), Ready("agents"))
    assert history.state.stage == phases.STARTING
    history.at(100.5, Ready("server"), Ready("flows"), Ready("agents"))
    assert history.state.stage == phases.RUNNING
    assert next_due(history.state) == NEVER


def test_a_crash_during_the_start_stops_everything_and_names_the_service() -> None:
    """No second try while somebody waits for the answer."""
    history = History()
    history.at(100.0)
    history.at(100.4, Ready("temporal"))
    actions = history.at(100.6, Exited("agents", "exited with status 1"))
    assert history.state.failed == "agents"
    assert find(history.state, "agents").error == "exited with status 1"
    assert actions == (Signal("flows", TERMINATE),)
    assert history.at(100.7, Exited("flows", "exited with status 0")) == (Signal("server", TERMINATE),)


def test_a_service_that_is_not_ready_in_time_ends_the_start_with_what_it_lacked() -> None:
    history = History()
    history.at(100.0)
    history.at(100.4, Ready("temporal"), NotReady("server", "nothing listens"))
    assert next_due(history.state) == 160.0
    actions = history.at(160.0)
    assert history.state.failed == "server"
    assert find(history.state, "server").error == "was not ready within 60 s: nothing listens"
    assert actions == (Signal("flows", TERMINATE),)


def test_a_service_killed_while_running_is_started_again_after_a_pause() -> None:
    """Somebody else's signal says nothing about the program: even seconds after its start it is tried again."""
    history = History().started()
    assert history.at(103.0, Exited("agents", "killed by SIGKILL", outside=True)) == ()
    assert history.phase("agents") == phases.BACKOFF
    assert is_degraded(history.state)
    assert next_due(history.state) == 103.5
    assert history.at(103.5) == (Spawn("agents"),)
    history.at(104.0, Ready("agents"))
    assert find(history.state, "agents").restarts == 1
    assert find(history.state, "agents").error == "killed by SIGKILL"
    assert not is_degraded(history.state)


@pytest.mark.parametrize("error", ["exited with status 1", "could not be run: /a: Resource temporarily unavailable"])
def test_a_restart_that_fails_at_once_is_tried_again(error: str) -> None:
    """The service was healthy before: its machine may lack memory or processes for a moment; the others go on."""
    history = History().started()
    history.at(3700.0, Exited("agents", "exited with status 1"))
    assert history.at(3700.5) == (Spawn("agents"),)
    assert history.at(3700.5, Exited("agents", error)) == ()
    assert (history.phase("agents"), next_due(history.state)) == (phases.BACKOFF, 3701.5)
    assert [history.phase(name) for name in ("temporal", "server", "flows")] == [phases.RUNNING] * 3
    assert history.at(3701.5) == (Spawn("agents"),)
    history.at(3702.0, Ready("agents"))
    assert not is_degraded(history.state)


def test_pauses_double_up_to_a_limit_and_a_service_that_was_healthy_is_never_given_up() -> None:
    history = History().started()
    now, pauses = 200.0, []
    for _ in range(50):
        history.at(now, Exited("agents", "exited with status 1"))
        pauses.append(next_due(history.state) - now)
        now = next_due(history.state)
        assert history.at(now) == (Spawn("agents"),)
    assert pauses[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert max(pauses) == 30


def test_a_service_killed_by_somebody_else_during_the_start_is_tried_again() -> None:
    """That says nothing about the program; the start goes on when it is ready."""
    history = History()
    history.at(100.0)
    history.at(100.4, Exited("temporal", "was ended by SIGKILL", outside=True))
    assert (history.state.stage, history.phase("temporal")) == (phases.STARTING, phases.BACKOFF)
    assert history.at(100.9) == (Spawn("temporal"),)
    history.at(101.0, Ready("temporal"), Ready("server"))
    history.at(101.5, Ready("flows"), Ready("agents"))
    assert history.state.stage == phases.RUNNING


def test_a_service_that_somebody_else_kills_again_and_again_ends_the_start() -> None:
    """Whoever waits for the start learns why, within seconds."""
    history = History()
    history.at(100.0)
    crashes = 0
    while not history.state.failed:
        crashes += 1
        history.at(history.now + 0.1, Exited("server", "was ended by SIGKILL", outside=True))
        if not history.state.failed:
            history.at(next_due(history.state))
    assert (crashes, history.state.failed) == (6, "server")
    assert find(history.state, "server").error == "was ended by SIGKILL"


def test_crashes_long_ago_do_not_count() -> None:
    """A service that crashes once a day is restarted for ever, each time after the shortest pause."""
    history = History().started()
    for day in range(1, 10):
        now = day * 86400.0
        history.at(now, Exited("server", "exited with status 2"))
        assert next_due(history.state) == now + 0.5
        history.at(now + 0.5)
        history.at(now + 1, Ready("server"))


def test_a_service_served_by_somebody_else_is_awaited_but_never_signalled() -> None:
    """An external Temporal gates the runners like ours, and outlives us."""
    history = History((PLANS[0]._replace(managed=False), *PLANS[1:]))
    assert history.at(100.0) == (Spawn("temporal"), Spawn("server"))
    assert history.at(100.4, Ready("temporal")) == (Spawn("flows"), Spawn("agents"))
    history.at(101.0, Ready("server"), Ready("flows"), Ready("agents"))
    assert history.state.stage == phases.RUNNING
    names, actions = [], history.at(200.0, StopRequested())
    while actions:
        names += [action.name for action in actions]
        actions = history.at(history.now + 1, *(Exited(action.name, "x") for action in actions))
    assert "temporal" not in names
    assert history.state.stage == phases.STOPPED


def test_an_external_service_that_does_not_answer_ends_the_start() -> None:
    history = History((PLANS[0]._replace(managed=False), *PLANS[1:]))
    history.at(100.0)
    history.at(101.0, NotReady("temporal", "temporal.example:7233: connection refused"))
    history.at(160.0)
    assert (history.state.failed, history.phase("temporal")) == ("temporal", phases.FAILED)
    assert "connection refused" in find(history.state, "temporal").error


def test_a_restarted_service_that_does_not_get_ready_is_stopped_and_tried_again() -> None:
    """It gets its grace, and its end is not taken for a crash of its own."""
    history = History().started()
    history.at(200.0, Exited("server", "x", outside=True))
    history.at(200.5)
    assert history.at(260.5) == (Signal("server", TERMINATE),)
    assert history.at(270.5) == (Signal("server", KILL),)
    history.at(271.0, Exited("server", "killed by SIGKILL", outside=True))
    assert history.phase("server") == phases.BACKOFF
    assert "not ready within" in find(history.state, "server").error
