"""Event sequences for the pure function `decide`: a stack whose processes do only what a test says."""

from functools import partial

from stigmer_launcher.install.payload import Liveness, Restart
from stigmer_launcher.launch.plan import ServicePlan
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.lifecycle import (
    CHECK,
    KILL,
    PROVE,
    SPAWN,
    TERMINATE,
    Action,
    Event,
    Exited,
    Ready,
    Service,
    State,
    decide,
)

PLANS = (
    ServicePlan("temporal", stop_order=1, grace=10, ready_timeout=60),
    ServicePlan("server", stop_order=2, grace=10, ready_timeout=60),
    ServicePlan("flows", needs=("temporal",), stop_order=4, grace=5, ready_timeout=60),
    ServicePlan("agents", needs=("temporal",), stop_order=3, grace=5, ready_timeout=120),
)
WATCHED = tuple(
    plan._replace(liveness=Liveness(every, timeout=5, failures=3))
    for plan, every in zip(PLANS, (30, 40, 20, 1000), strict=True)
)
EXTERNAL = (WATCHED[0]._replace(managed=False), *WATCHED[1:])
_NEEDS = ((), ("temporal",), ("server",), ("server", "flows"))
CROSSED = tuple(plan._replace(needs=needs) for plan, needs in zip(WATCHED, _NEEDS, strict=True))[::-1]
spawn, prove, check, terminate, kill = (partial(Action, kind) for kind in (SPAWN, PROVE, CHECK, TERMINATE, KILL))
PROBED = (phases.STARTING, phases.PROVING, phases.DEGRADED)


def is_probed(service: Service) -> bool:
    """Return whether a probe of the service is pending."""
    return service.phase in PROBED or service.checking


def ended(name: str) -> Exited:
    """Return the event of a service that exits as requested."""
    return Exited(name, "exited with status 0")


def crashed(name: str) -> Exited:
    """Return the event of a service that exits on its own."""
    return Exited(name, "exited with status 1")


def killed(name: str) -> Exited:
    """Return the event of a service that is killed from outside."""
    return Exited(name, "killed by SIGKILL", killed=True)


class History:
    """A stack, started at 100 seconds, whose processes do only what a test says; spawning takes no time.

    Three invariants are checked after every step: an unmanaged service is never signalled; no service is started unless
    all it needs run and lack nothing themselves; and a stack counts as running only when each service has proved that
    it works since its dependencies were started.
    """

    def __init__(self, plans: tuple[ServicePlan, ...] = PLANS, policy: Restart = Restart()) -> None:  # noqa: B008 - immutable
        self.state = State({plan.name: Service(plan) for plan in plans}, policy=policy)
        self.now = 100.0
        self.terminated: list[str] = []
        self._spawned: dict[str, float] = {}
        self._proved: dict[str, float] = {}
        self.begun = self.at(self.now)

    def at(self, now: float, *events: Event) -> tuple[Action, ...]:
        """Process events at a time; return the actions."""
        self.now = now
        self._proved |= {each.name: now for each in events if isinstance(each, Ready) and is_probed(self[each.name])}
        self.state, actions = decide(self.state, events, now)
        assert all(self[name].plan.managed for kind, name in actions if kind in (TERMINATE, KILL))
        needed = [self[need] for kind, name in actions if kind == SPAWN for need in self[name].plan.needs]
        assert all(need.phase == phases.RUNNING and not need.lost for need in needed)
        self._spawned |= {name: now for kind, name in actions if kind == SPAWN}
        self.terminated += [name for kind, name in actions if kind == TERMINATE]
        if self.state.stage == phases.RUNNING and not self.state.is_degraded:
            for each in self.state.services.values():
                assert all(self._spawned[need] <= self._proved[each.plan.name] for need in each.plan.needs)
        return actions

    def __getitem__(self, name: str) -> Service:
        return self.state.services[name]

    @property
    def phases(self) -> list[str]:
        """The phase of each service."""
        return [service.phase for service in self.state.services.values()]

    @property
    def due(self) -> float:
        """The time of the next action that needs no event."""
        return min(service.deadline for service in self.state.services.values())

    def is_degraded(self) -> bool:
        """Return whether the started stack lacks a service."""
        return self.state.is_degraded

    def started(self) -> "History":
        """Bring all services up."""
        self.at(100.5, Ready("temporal"), Ready("server"))
        self.at(101.0, Ready("flows"), Ready("agents"))
        assert self.state.stage == phases.RUNNING
        return self
