"""Lifecycle of the services: `decide` computes the next state and actions from the state, the events and the time alone.

The supervisor creates the events and executes the actions. Times are seconds of one monotonic clock.

    service: waiting -> starting -> running -> pausing -> waiting …     stack: starting -> running -> stopping -> stopped
                           |           |                                          |______________________^
                           |           |-> degraded (does not answer) -> running or ending
                           |           |-> proving (a service it needs came back) -> running or ending
                           |-> failed  |-> ending (SIGTERM sent) -> stopped or pausing

A service that a command has stopped stays stopped until a command starts it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stigmer_launcher.install.payload import Restart
from stigmer_launcher.launch.plan import ServicePlan
from stigmer_launcher.supervise import phases
from stigmer_launcher.system.process import KILL_TIMEOUT

NEVER = float("inf")
START, STOP, RESTART = "start", "stop", "restart"  # of one service, by a command
STOPPED_BY_COMMAND = "stopped by `stigmer server stop`; `stigmer server` starts it"
ALIVE = (phases.STARTING, phases.RUNNING, phases.PROVING, phases.DEGRADED, phases.TERMINATING)
_UP = (phases.STARTING, phases.RUNNING)  # stages of a stack that is not being stopped
_MOST_CRASHES = 1000  # remembered before the latest: each doubles the pause, and 2.0 ** 1024 overflows

SPAWN = "spawn"  # start the service's process and probe its readiness; an external service is only probed
PROVE = "prove"  # probe the readiness of a running service again
CHECK = "check"  # probe the liveness of a ready service
TERMINATE = "terminate"  # send SIGTERM to the service's process group
KILL = "kill"  # send SIGKILL to it; the second time, forget a process that has not ended


class Service(NamedTuple):
    """State of a service."""

    plan: ServicePlan
    phase: str = phases.WAITING
    since: float = 0.0  # its last start
    deadline: float = NEVER  # of its phase or its liveness check
    crashes: tuple[float, ...] = ()  # the recent ones
    restarts: int = 0
    lost: frozenset[str] = frozenset()  # needs that went down since it was ready; it must prove its readiness again
    error: str = ""  # why it went down last
    not_ready_reason: str = ""  # why its probe does not pass yet
    checking: bool = False  # whether its liveness is being checked
    failures: int = 0  # of liveness checks, in a row
    killed: bool = False  # whether SIGKILL was sent to the process that is ending
    requested: str = ""  # by a command: STOP until it is replaced by RESTART, RESTART until the next start

    @property
    def is_blocked(self) -> bool:
        """Return whether it has no deadline because a service it needs is down."""
        return bool(self.lost) and self.deadline == NEVER

    def cleared(self) -> "Service":
        """Return it without deadline, lost needs, and progress of probes."""
        return self._replace(deadline=NEVER, lost=frozenset(), not_ready_reason="", checking=False, failures=0)


class State(NamedTuple):
    """State of the stack: its services by name; `failed` is the one that made the start fail."""

    services: Mapping[str, Service]
    stage: str = phases.STARTING
    failed: str = ""
    policy: Restart = Restart()

    @property
    def is_degraded(self) -> bool:
        """Return whether a started stack lacks a service."""
        return self.stage == phases.RUNNING and not _all_run(self.services.values())


class NotReady(NamedTuple):
    """A probe of a service did not pass."""

    name: str
    reason: str


class Ready(NamedTuple):
    """A probe of a service passed."""

    name: str


class Exited(NamedTuple):
    """A service's process ended or could not be run; `killed` when a signal from outside ended it."""

    name: str
    error: str
    killed: bool = False


class Requested(NamedTuple):
    """A command requested START, STOP or RESTART of one service; a start includes the services that it needs."""

    name: str
    verb: str


class StopRequested(NamedTuple):
    """Stop everything; with `now`, without grace periods."""

    now: bool = False


class Action(NamedTuple):
    """An instruction to the supervisor about one service."""

    kind: str  # SPAWN, PROVE, CHECK, TERMINATE or KILL
    name: str


Event = NotReady | Ready | Exited | Requested | StopRequested


def decide(state: State, events: Sequence[Event], now: float) -> tuple[State, tuple[Action, ...]]:
    """Apply events and expired deadlines; return the new state and the actions."""
    decision = _Decision(state, now)
    for event in events:
        decision.apply(event)
    decision.expire()
    if decision.stage in _UP:
        decision.carry_out_requests()
        decision.prove_again()
        decision.start_next()
    else:
        decision.stop_next()
    return State(decision.services, decision.stage, decision.failed, decision.policy), tuple(decision.actions)


class _Decision:
    """Working copy of the state during one decision, and the actions so far.

    The keys of `services` never change, so a loop over its values may replace values, and sees the current ones.
    """

    def __init__(self, state: State, now: float) -> None:
        services, self.stage, self.failed, self.policy = state
        self.services = dict(services)
        self.now = now
        self.actions: list[Action] = []

    def apply(self, event: Event) -> None:
        match event:
            case Ready(name):
                self.handle_ready(self.services[name])
            case NotReady(name, reason):
                service = self.services[name]
                if service.phase != phases.RUNNING or service.checking:
                    self.put(service._replace(not_ready_reason=reason))
            case Exited(name):
                self.handle_exit(self.services[name], event)
            case Requested(name, verb):
                service = self.services[name]
                if verb in (STOP, RESTART) and self.stage == phases.RUNNING and service.plan.managed:
                    self.put(service._replace(requested=STOP, crashes=(), error=""))
                if verb in (START, RESTART):
                    self.request_start(self.services[name])
            case StopRequested(now):
                self.stage = phases.STOPPING
                if now:
                    self.skip_grace_periods()

    def put(self, service: Service, *actions: str) -> None:
        """Replace a service, and add actions for it."""
        self.services[service.plan.name] = service
        self.actions += [Action(kind, service.plan.name) for kind in actions]

    def needs(self, service: Service) -> list[Service]:
        return [self.services[name] for name in service.plan.needs]

    def handle_ready(self, service: Service) -> None:
        """Mark a service as running, and schedule its next liveness check, unless a service it needs is down."""
        if service.phase in (phases.STARTING, phases.PROVING, phases.DEGRADED) or service.checking:
            running = service.cleared()._replace(phase=phases.RUNNING)
            deadline = self.now + service.plan.liveness.every
            self.put(running._replace(lost=service.lost) if service.is_blocked else running._replace(deadline=deadline))

    def request_start(self, service: Service) -> None:
        """Request the start of a service, and of those it needs, where a command has stopped them."""
        for each in (*self.needs(service), service):
            if each.requested == STOP:
                self.put(each._replace(requested=RESTART))

    def skip_grace_periods(self) -> None:
        """Skip the remaining grace periods: kill now."""
        for service in self.services.values():
            plan, skipped = service.plan._replace(grace=0.0), 0.0 if service.killed else service.plan.grace
            self.put(service._replace(plan=plan, deadline=service.deadline - skipped))

    def handle_exit(self, service: Service, exited: Exited) -> None:
        """Handle the exit of a process: expected, a failed start, or a retry with backoff.

        Once the stack has run, every service has been healthy, so each is retried forever. During the start only a service
        that was killed from outside or terminated is retried: a program that exits by itself would exit again.
        """
        ended = service.cleared()
        self.block_dependents(ended, has_ended=True)
        error = ended.error if ended.phase == phases.TERMINATING else exited.error
        crashes = (*(time for time in ended.crashes[-_MOST_CRASHES:] if self.now - time < self.policy.window), self.now)
        exited_by_itself = not exited.killed and ended.phase != phases.TERMINATING
        if ended.requested or self.stage not in _UP:
            self.put(ended._replace(phase=phases.STOPPED))
        elif self.stage == phases.STARTING and (exited_by_itself or len(crashes) > self.policy.limit):
            self.fail_start(ended._replace(phase=phases.FAILED, error=error))
        else:
            delay = min(self.policy.first_pause * 2.0 ** (len(crashes) - 1), self.policy.longest_pause)
            self.put(ended._replace(phase=phases.BACKOFF, deadline=self.now + delay, crashes=crashes, error=error))

    def fail_start(self, service: Service) -> None:
        """Abort the start because of one service; if it still runs, it is stopped with the others."""
        self.put(service)
        self.stage, self.failed = phases.STOPPING, service.plan.name

    def block_dependents(self, down: Service, *, has_ended: bool = False) -> None:
        """Remove the deadlines of services that need one that is down; they are probed again, or restarted, when it is back."""
        for service in self.services.values():
            if self.stage not in _UP or down.plan.name not in service.plan.needs:
                continue
            lost = service.lost | {down.plan.name}
            is_proving_again = service.phase == phases.PROVING and down.requested == STOP
            if service.phase in (phases.RUNNING, phases.DEGRADED) or is_proving_again:
                self.put(service.cleared()._replace(phase=phases.RUNNING, lost=lost))
            elif service.phase in (phases.STARTING, phases.PROVING):
                restart = RESTART if has_ended and service.phase == phases.STARTING else ""  # some connect only once
                self.put(service._replace(deadline=NEVER, lost=lost, requested=service.requested or restart))

    def expire(self) -> None:
        """Handle expired deadlines: of a backoff, a start, a grace period, or a liveness check."""
        for service in self.services.values():
            if service.deadline > self.now:
                continue
            if service.phase == phases.BACKOFF:
                self.put(service._replace(phase=phases.WAITING, deadline=NEVER))
            elif service.phase == phases.TERMINATING:
                self.put(service._replace(killed=True, deadline=self.now + KILL_TIMEOUT), KILL)
            elif service.phase in (phases.RUNNING, phases.DEGRADED):
                self.check_liveness(service)
            elif self.stage == phases.STARTING and service.phase != phases.PROVING:
                phase = service.phase if service.plan.managed else phases.FAILED
                self.fail_start(service._replace(phase=phase, error=self.describe_timeout(service), deadline=NEVER))
            elif self.stage in _UP:
                self.terminate(service, self.describe_timeout(service))

    def describe_timeout(self, service: Service) -> str:
        reason = f": {service.not_ready_reason}" if service.not_ready_reason else ""
        within = f"within {service.plan.ready_timeout:g} s"
        if service.phase != phases.PROVING:
            return f"was not ready {within}{reason}"
        returned = " and ".join(need for need in service.plan.needs if need in service.lost)
        return f"did not work again {within} of the return of {returned}{reason}"

    def terminate(self, service: Service, error: str) -> None:
        self.block_dependents(service)
        ending = service.cleared()._replace(phase=phases.TERMINATING, error=error, killed=False)
        self.put(ending._replace(deadline=self.now + service.plan.grace), TERMINATE)

    def check_liveness(self, service: Service) -> None:
        """Start a liveness check, or count a failure when the last one has no answer in time.

        It is not checked while the stack starts or stops, or a service it needs is down. The check goes on after a failure,
        as the answer may be late. A deadline that passed long ago is ignored: the machine was asleep.
        """
        liveness = service.plan.liveness
        if self.stage != phases.RUNNING or not _all_run(self.needs(service)):
            self.put(service._replace(deadline=self.now + liveness.every))
        elif not service.checking:
            self.put(service._replace(checking=True, deadline=self.now + liveness.timeout), CHECK)
        elif self.now > service.deadline + liveness.timeout:
            self.put(service._replace(deadline=self.now + liveness.timeout))
        else:
            self.fail_check(service)

    def fail_check(self, service: Service) -> None:
        """Count a failed liveness check, and terminate the service after too many; an external one is never terminated."""
        managed, liveness = service.plan.managed, service.plan.liveness
        failures, reason = service.failures + 1, service.not_ready_reason or "no answer"
        if managed and failures >= liveness.failures:
            self.terminate(service, f"failed {failures} liveness checks in a row: {reason}")
            return
        self.block_dependents(service)
        deadline = self.now + liveness.every if managed else NEVER
        self.put(service._replace(phase=phases.DEGRADED, failures=failures, deadline=deadline, not_ready_reason=reason))
        for need in self.needs(service):  # one of them may be the cause
            if need.phase == phases.RUNNING and not need.checking and need.deadline != NEVER:
                self.check_liveness(need)

    def carry_out_requests(self) -> None:
        """Terminate services that commands stop or restart; once they have ended, those to restart are waiting again."""
        for service in self.services.values():
            if not service.requested or service.phase == phases.TERMINATING:
                continue
            if service.phase in ALIVE:
                self.terminate(service, service.error)
            elif service.requested == STOP:
                self.put(service._replace(phase=phases.STOPPED, deadline=NEVER, error=STOPPED_BY_COMMAND))
            else:
                self.put(service._replace(phase=phases.WAITING, deadline=NEVER, error="", requested=""))

    def prove_again(self) -> None:
        """Probe services again once all that they need runs again: they may have lost their connection."""
        for service in self.services.values():
            if service.is_blocked and _all_run(self.needs(service)):
                phase = phases.STARTING if service.phase == phases.STARTING else phases.PROVING
                deadline = self.now + service.plan.ready_timeout
                self.put(service._replace(phase=phase, deadline=deadline, not_ready_reason=""), PROVE)

    def start_next(self) -> None:
        """Start all waiting services whose needs run; mark the stack as running once all services do."""
        for service in self.services.values():
            if service.phase == phases.WAITING and _all_run(self.needs(service)):
                deadline, restarts = self.now + service.plan.ready_timeout, service.restarts + bool(service.crashes)
                started = service._replace(phase=phases.STARTING, since=self.now, deadline=deadline, restarts=restarts)
                self.put(started, SPAWN)
        if _all_run(self.services.values()):
            self.stage = phases.RUNNING

    def stop_next(self) -> None:
        """Terminate the services of the highest stop order; mark the stack as stopped once all have ended."""
        for service in self.services.values():
            if service.phase not in (phases.FAILED, phases.TERMINATING):
                is_alive = service.plan.managed and service.phase in ALIVE
                self.put(service.cleared()._replace(phase=service.phase if is_alive else phases.STOPPED))
        alive = [service for service in self.services.values() if service.phase in ALIVE]
        highest = max((service.plan.stop_order for service in alive), default=0)
        for service in alive:
            if service.plan.stop_order == highest and service.phase != phases.TERMINATING:
                self.terminate(service, service.error)
        if not alive:
            self.stage = phases.STOPPED


def _all_run(services: Iterable[Service]) -> bool:
    return all(service.phase == phases.RUNNING and not service.lost for service in services)
