"""Histories replayed against the pure decision: a service that is ready is looked after, and restarted when it hangs."""

import pytest

from stigmer_launcher.install.payload import Liveness, Restart
from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.decide import find, is_degraded, next_due
from stigmer_launcher.supervise.lifecycle import (
    KILL,
    NEVER,
    TERMINATE,
    CheckLiveness,
    Exited,
    NotReady,
    Prove,
    Ready,
    Signal,
    Spawn,
    StopRequested,
)
from support.histories import History

OFTEN = Liveness(every=30, timeout=5, failures=3)
PLANS = (
    Plan("temporal", stop_order=1, grace=10, seconds=60, liveness=OFTEN),
    Plan("server", stop_order=2, grace=10, seconds=60, liveness=OFTEN._replace(every=40)),
    Plan("flows", needs=("temporal",), stop_order=4, grace=5, seconds=60, liveness=OFTEN._replace(every=20)),
    Plan("agents", needs=("temporal",), stop_order=3, grace=5, seconds=120, liveness=OFTEN._replace(every=1000)),
)
EXTERNAL = (PLANS[0]._replace(managed=False), *PLANS[1:])


def only(*, managed: bool = True) -> History:
    """Give a stack of one service, which has run since 100 seconds."""
    history = History((PLANS[0]._replace(managed=managed),))
    history.at(100.0)
    history.at(100.0, Ready("temporal"))
    return history


def degraded(*, managed: bool = True) -> History:
    """Give a stack whose only service has not answered for the first time, at 135 seconds."""
    history = only(managed=managed)
    history.at(130.0)
    assert history.at(135.0, NotReady("temporal", "no answer")) == ()
    return history


def test_a_service_that_is_ready_is_asked_again_and_again() -> None:
    history = only()
    for due in (130.0, 161.0, 192.0):
        assert next_due(history.state) == due
        assert history.at(due) == (CheckLiveness("temporal"),)
        assert history.at(due + 1, Ready("temporal")) == ()
        assert not is_degraded(history.state)


def test_nobody_is_asked_before_the_whole_stack_runs() -> None:
    """The processor is for those that start."""
    history = History(PLANS)
    history.at(100.0)
    history.at(100.5, Ready("temporal"), Ready("server"))
    history.at(101.0, Ready("flows"))
    assert history.at(140.0) == ()
    assert history.at(141.0, Ready("agents")) == ()
    assert history.at(181.0) == (CheckLiveness("temporal"), CheckLiveness("server"), CheckLiveness("flows"))


def test_a_service_that_does_not_answer_is_degraded_and_says_why() -> None:
    history = only()
    history.at(130.0)
    history.at(134.9)
    assert not is_degraded(history.state)
    history.at(135.0, NotReady("temporal", "no answer"))
    assert (history.phase("temporal"), find(history.state, "temporal").not_ready_reason) == ("degraded", "no answer")
    assert is_degraded(history.state)


def test_a_degraded_service_that_answers_runs_again() -> None:
    """Whenever that is; the failures before do not count any more."""
    history = degraded()
    history.at(165.0)
    assert history.at(190.0, Ready("temporal")) == ()
    service = find(history.state, "temporal")
    assert (service.phase, service.failures, service.not_ready_reason, service.restarts) == ("running", 0, "", 0)
    assert next_due(history.state) == 220.0


def test_a_service_that_fails_so_many_checks_in_a_row_is_stopped_with_its_grace_and_started_again() -> None:
    history = degraded()
    assert history.at(165.0) == ()
    assert history.at(195.0) == (Signal("temporal", TERMINATE),)
    assert find(history.state, "temporal").error == "failed 3 liveness checks in a row: no answer"
    assert history.at(205.0) == (Signal("temporal", KILL),)
    history.at(205.1, Exited("temporal", "killed by SIGKILL", outside=True))
    assert history.phase("temporal") == phases.BACKOFF
    assert history.at(205.6) == (Spawn("temporal"),)
    history.at(206.0, Ready("temporal"))
    service = find(history.state, "temporal")
    assert (service.phase, service.restarts, service.failures) == ("running", 1, 0)
    assert service.error == "failed 3 liveness checks in a row: no answer"


@pytest.mark.parametrize("late", [5.1, 3600.0, 1e7])
def test_a_deadline_that_is_noticed_long_after_it_passed_does_not_count(late: float) -> None:
    """The machine slept, or was starved: the service gets its time from now on."""
    history = only()
    history.at(130.0)
    history.at(135.0 + late)
    assert history.phase("temporal") == phases.RUNNING
    assert next_due(history.state) == 140.0 + late
    history.at(140.0 + late, Ready("temporal"))
    assert not is_degraded(history.state)


def test_a_machine_that_sleeps_between_all_checks_restarts_nothing() -> None:
    history = degraded()
    for day in range(1, 10):
        assert history.at(day * 86400.0) == ()
    assert (history.phase("temporal"), find(history.state, "temporal").failures) == (phases.DEGRADED, 1)


def test_those_that_need_a_service_that_does_not_answer_are_not_blamed() -> None:
    """Not even the one that was asked first; each proves that it works when the other is back."""
    history = History(PLANS).started()
    assert history.at(121.0) == (CheckLiveness("flows"),)
    assert history.at(126.0, NotReady("flows", "no answer")) == (CheckLiveness("temporal"),)
    assert history.phase("flows") == phases.DEGRADED
    history.at(131.0, NotReady("temporal", "no answer"))
    assert [history.phase(name) for name in ("temporal", "flows", "agents")] == ["degraded", "running", "running"]
    assert find(history.state, "flows").until == find(history.state, "agents").until == NEVER
    actions = history.at(141.0, Ready("temporal"))
    assert actions == (CheckLiveness("server"), Prove("flows"), Prove("agents"))
    history.at(142.0, Ready("server"), Ready("flows"), Ready("agents"))
    assert not is_degraded(history.state)


def test_those_that_need_a_service_that_has_not_proved_itself_again_are_not_asked() -> None:
    """The middle one of three waits for its own proofs."""
    chain = (
        PLANS[0]._replace(liveness=Liveness(every=1000)),
        Plan("server", needs=("temporal",), stop_order=2, seconds=60, liveness=OFTEN),
        Plan("flows", needs=("server",), stop_order=3, seconds=60, liveness=OFTEN),
    )
    history = History(chain)
    for now, name in ((100.0, "temporal"), (101.0, "server"), (102.0, "flows")):
        history.at(now)
        history.at(now, Ready(name))
    history.at(110.0, Exited("temporal", "killed by SIGKILL", outside=True))
    history.at(110.5)
    assert history.at(111.0, Ready("temporal")) == (Prove("server"),)
    assert history.at(140.0) == ()
    assert history.phase("flows") == phases.RUNNING
    history.at(145.0, Ready("server"))
    assert history.at(170.0) == (CheckLiveness("flows"),)


def test_nobody_is_blamed_when_all_deadlines_pass_together() -> None:
    for plans in (PLANS, PLANS[::-1]):
        history = History(tuple(plan._replace(liveness=OFTEN) for plan in plans))
        history.at(100.0)
        history.at(100.0, Ready("temporal"), Ready("server"))
        history.at(100.0, Ready("flows"), Ready("agents"))
        history.at(130.0)
        history.at(135.0, Ready("server"))
        assert [history.phase(name) for name in ("temporal", "server", "flows", "agents")] == [
            phases.DEGRADED, phases.RUNNING, phases.RUNNING, phases.RUNNING,
        ]  # fmt: skip


def test_a_service_of_somebody_else_is_degraded_for_as_long_as_it_takes_and_never_signalled() -> None:
    history = degraded(managed=False)
    assert next_due(history.state) == NEVER
    assert history.at(1e6) == ()
    assert history.phase("temporal") == phases.DEGRADED
    history.at(1e6, Ready("temporal"))
    assert not is_degraded(history.state)


def test_when_a_temporal_of_somebody_else_is_back_those_that_need_it_prove_that_they_work() -> None:
    """One that does not is restarted, and told why."""
    history = History(EXTERNAL).started()
    history.at(130.5)
    history.at(135.5)
    assert history.phase("temporal") == phases.DEGRADED
    assert set(history.at(400.0, Ready("temporal"), Ready("server"))) >= {Prove("flows"), Prove("agents")}
    history.at(401.0, Ready("agents"), NotReady("flows", "no worker polls the queue a"))
    assert Signal("flows", TERMINATE) in history.at(460.0)
    why = "did not work again within 60 s of the return of temporal: no worker polls the queue a"
    assert find(history.state, "flows").error == why


def test_a_stop_asks_nobody_and_stops_a_degraded_service_like_any_other() -> None:
    history = degraded()
    assert history.at(165.0, StopRequested()) == (Signal("temporal", TERMINATE),)
    history.at(166.0, Exited("temporal", "exited with status 0"))
    assert history.state.stage == phases.STOPPED


def test_a_degraded_service_that_ends_is_started_again() -> None:
    history = degraded()
    history.at(140.0, Exited("temporal", "exited with status 2"))
    assert history.at(140.5) == (Spawn("temporal"),)
    history.at(141.0, Ready("temporal"))
    assert (history.phase("temporal"), next_due(history.state)) == (phases.RUNNING, 171.0)


def test_an_answer_that_comes_after_the_service_was_given_up_changes_nothing() -> None:
    history = degraded()
    history.at(165.0)
    history.at(195.0)
    history.at(196.0, Ready("temporal"))
    assert history.phase("temporal") == phases.TERMINATING


def test_the_pauses_before_a_restart_are_those_of_the_manifest() -> None:
    policy = Restart(first_pause=2, longest_pause=5, window=60, limit=0)
    history = History((PLANS[0],), policy)
    history.at(100.0)
    history.at(100.0, Ready("temporal"))
    pauses = []
    for _ in range(4):
        history.at(history.now, Exited("temporal", "x"))
        pauses.append(next_due(history.state) - history.now)
        history.at(next_due(history.state))
    assert pauses == [2, 4, 5, 5]
    history.at(history.now + 61, Exited("temporal", "x"))
    assert next_due(history.state) - history.now == 2


def test_the_limit_of_the_manifest_ends_a_start() -> None:
    history = History((PLANS[0],), Restart(limit=0))
    history.at(100.0)
    history.at(101.0, Exited("temporal", "killed by SIGKILL", outside=True))
    assert history.state.failed == "temporal"
