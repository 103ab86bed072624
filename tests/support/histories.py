"""Histories to replay against the pure decision: a stack whose processes do only what a test says."""

from stigmer_launcher.install.payload import Liveness, Restart
from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.decide import decide, find, initial_state, is_degraded, next_due
from stigmer_launcher.supervise.lifecycle import (
    NEVER,
    Action,
    Event,
    Exited,
    Ready,
    Service,
    ServiceStartRequested,
    Spawn,
    Spawned,
)

PLANS = (
    Plan("temporal", stop_order=1, grace=10, seconds=60),
    Plan("server", stop_order=2, grace=10, seconds=60),
    Plan("flows", needs=("temporal",), stop_order=4, grace=5, seconds=60),
    Plan("agents", needs=("temporal",), stop_order=3, grace=5, seconds=120),
)
WATCHED = tuple(
    plan._replace(liveness=Liveness(every, 5, 2)) for plan, every in zip(PLANS, (30, 40, 10, 1000), strict=True)
)
ASKED = (phases.STARTING, phases.PROVING, phases.DEGRADED)
PIDS = {"temporal": 11, "server": 12, "flows": 13, "agents": 14}


def is_asked(service: Service) -> bool:
    """Tell whether somebody waits for an answer of a service."""
    return service.phase in ASKED or service.checking


class History:
    """A stack whose processes do only what a test says; a spawned process is there at once."""

    def __init__(self, plans: tuple[Plan, ...] = PLANS, policy: Restart = Restart()) -> None:  # noqa: B008 - immutable
        self.state = initial_state(plans, policy)
        self.now = 100.0

    def at(self, now: float, *events: Event) -> tuple[Action, ...]:
        """Let events happen at a time, and give the actions; spawned processes run."""
        self.now = now
        self.state, actions = decide(self.state, events, now)
        spawned = [
            Spawned(action.name, PIDS[action.name])
            for action in actions
            if isinstance(action, Spawn) and find(self.state, action.name).plan.managed
        ]
        if spawned:
            self.state, more = decide(self.state, tuple(spawned), now)
            assert more == ()
        return actions

    def phase(self, name: str) -> str:
        """Give a service's phase."""
        return find(self.state, name).phase

    def started(self) -> "History":
        """Bring everything up, at 100 seconds."""
        self.at(100.0)
        self.at(100.5, Ready("temporal"), Ready("server"))
        self.at(101.0, Ready("flows"), Ready("agents"))
        assert self.state.stage == phases.RUNNING
        return self

    def calm_down(self) -> None:
        """Let everything go well from now on, until the stack runs or has stopped: nothing may wait for ever.

        Who is asked is ready, who is told to stop ends, and what a command stopped is started by another.
        """
        for _ in range(100):
            stage, services = self.state.stage, self.state.services
            if stage == phases.STOPPED or (stage == phases.RUNNING and not is_degraded(self.state)):
                return
            answers: list[Event] = [Ready(each.plan.name) for each in services if is_asked(each)]
            answers += [Exited(each.plan.name, "x") for each in services if each.phase == phases.TERMINATING]
            if stage == phases.RUNNING:
                answers += [ServiceStartRequested(each.plan.name) for each in services if each.phase == phases.STOPPED]
            due = self.now + 0.1 if answers else next_due(self.state)
            assert due != NEVER, "nothing is due, and the stack does not run"
            self.at(due, *answers)
        raise AssertionError("the stack neither runs nor rests")
