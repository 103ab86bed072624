"""Lifecycle of the services: `decide` says what the supervisor does next, from the state, the events and the time alone.

The supervisor makes the events and carries out the actions. Times are seconds of one monotonic clock.

    service: waiting -> starting -> running -> pausing -> waiting …     stack: starting -> running -> stopping -> stopped
                           |           |                                          |______________________^
                           |           |-> degraded (does not answer) -> running or ending
                           |           |-> proving (something it needs came back) -> running or ending
                           |-> failed  |-> ending (told to go) -> stopped or pausing

A service that a command has stopped stays stopped until a command starts it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stigmer_launcher.install.payload import Restart
from stigmer_launcher.launch.plan import ServicePlan
from stigmer_launcher.supervise import phases

NEVER = float("inf")
START, STOP, RESTART = "start", "stop", "restart"  # of one service, by a command
STOPPED_BY_COMMAND = "stopped by `stigmer server stop`; `stigmer server` starts it"
ALIVE = (phases.STARTING, phases.RUNNING, phases.PROVING, phases.DEGRADED, phases.TERMINATING)
_UP = (phases.STARTING, phases.RUNNING)  # stages of the stack in which it is not being stopped

# Kinds of actions.
SPAWN = "spawn"  # start the service's process; one that is not managed is only probed
PROVE = "prove"  # ask a service that runs for all its proofs once more
CHECK = "check"  # ask a service that is ready whether it still answers
TERMINATE, KILL = "terminate", "kill"  # send a signal to the service's process group


class Service(NamedTuple):
    """State of a service."""

    plan: ServicePlan
    phase: str = phases.WAITING
    since: float = 0.0  # its last start
    until: float = NEVER  # the next deadline
    crashes: tuple[float, ...] = ()  # the recent ones
    restarts: int = 0
    lost: frozenset[str] = frozenset()  # needs that went down since its proofs, which it must give once more
    error: str = ""  # why it went down last
    lacking: str = ""  # what its readiness is still waiting for
    checking: bool = False  # whether its liveness is being checked
    failures: int = 0  # how many checks in a row have failed
    requested: str = ""  # what a command wants: STOP holds until RESTART, which holds until the next start

    @property
    def is_held(self) -> bool:
        """Return whether its clock stands still because something it needs is down."""
        return bool(self.lost) and self.until == NEVER

    def cleared(self) -> "Service":
        """Return it with nothing due, lost, lacking or being checked."""
        return self._replace(until=NEVER, lost=frozenset(), lacking="", checking=False, failures=0)


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
    """A service was asked, and is not ready."""

    name: str
    reason: str


class Ready(NamedTuple):
    """A service proved that it is ready."""

    name: str


class Exited(NamedTuple):
    """A service's process ended or could not be run; `outside` when a signal of somebody else's ended it."""

    name: str
    error: str
    outside: bool = False


class Requested(NamedTuple):
    """A command wants START, STOP or RESTART of one service; a start brings those along that the service needs."""

    name: str
    verb: str


class StopRequested(NamedTuple):
    """Stop everything; with `now`, kill what is still terminating."""

    now: bool = False


class Action(NamedTuple):
    """What is to be done with a service."""

    kind: str
    name: str


Event = NotReady | Ready | Exited | Requested | StopRequested


def decide(state: State, events: Sequence[Event], now: float) -> tuple[State, tuple[Action, ...]]:
    """Apply events and expired deadlines, and return the new state and the actions; there are none once `stopped`."""
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
    """One decision in the making: the stack as it is by then, and the actions so far.

    The keys of `services` stay, so a loop over its values may replace them, and meets each as it is by then.
    """

    def __init__(self, state: State, now: float) -> None:
        services, self.stage, self.failed, self.policy = state
        self.services = dict(services)
        self.now = now
        self.actions: list[Action] = []

    def apply(self, event: Event) -> None:
        match event:
            case Ready(name):
                self.answer(self.services[name])
            case NotReady(name, reason):
                service = self.services[name]
                if service.phase != phases.RUNNING or service.checking:
                    self.put(service._replace(lacking=reason))
            case Exited(name):
                self.end(self.services[name], event)
            case Requested(name, verb):
                service = self.services[name]
                if verb in (STOP, RESTART) and self.stage == phases.RUNNING and service.plan.managed:
                    self.put(service._replace(requested=STOP, crashes=(), error=""))
                if verb in (START, RESTART):
                    self.request_start(self.services[name])
            case StopRequested(now):
                self.stage = phases.STOPPING
                if now:
                    self.skip_graces()

    def put(self, service: Service, *actions: str) -> None:
        """Replace a service, and add what is to be done with it."""
        self.services[service.plan.name] = service
        self.actions += [Action(kind, service.plan.name) for kind in actions]

    def needs(self, service: Service) -> list[Service]:
        return [self.services[name] for name in service.plan.needs]

    def answer(self, service: Service) -> None:
        """Take in that a service has proved that it works: it is asked again after a while."""
        if service.phase in (phases.STARTING, phases.PROVING, phases.DEGRADED) or service.checking:
            running = service.cleared()._replace(phase=phases.RUNNING)
            until = self.now + service.plan.liveness.every
            self.put(running._replace(lost=service.lost) if service.is_held else running._replace(until=until))

    def request_start(self, service: Service) -> None:
        """Note that a service which a command has stopped is to be started, and those that it needs."""
        for need in self.needs(service):
            self.request_start(need)
        if service.requested == STOP:
            self.put(service._replace(requested=RESTART))

    def skip_graces(self) -> None:
        """Take the grace from every service, and from the deadlines that it made: kill now."""
        for service in self.services.values():
            plan = service.plan._replace(grace=0.0)
            self.put(service._replace(plan=plan, until=service.until - service.plan.grace))

    def end(self, service: Service, exited: Exited) -> None:
        """Handle the exit of a process: expected, a failed start, or a retry with backoff.

        Once the stack has run, every service has been healthy, so none is given up. During the start only a signal of
        somebody else's is worth a retry: a program that ends itself then would do so again.
        """
        ended = service.cleared()
        self.hold_clocks(ended)
        error = ended.error if ended.phase == phases.TERMINATING else exited.error
        crashes = (*(time for time in ended.crashes if self.now - time < self.policy.window), self.now)
        is_tried_again = self.stage == phases.RUNNING or (exited.outside and len(crashes) <= self.policy.limit)
        if ended.requested or self.stage not in _UP:
            self.put(ended._replace(phase=phases.STOPPED))
        elif is_tried_again:
            pause = min(self.policy.first_pause * 2.0 ** (len(crashes) - 1), self.policy.longest_pause)
            self.put(ended._replace(phase=phases.BACKOFF, until=self.now + pause, crashes=crashes, error=error))
        else:
            self.fail_start(ended._replace(phase=phases.FAILED, error=error))

    def fail_start(self, service: Service) -> None:
        """Abort the start because one service failed; if it still runs, it is stopped with the others."""
        self.put(service)
        self.stage, self.failed = phases.STOPPING, service.plan.name

    def hold_clocks(self, down: Service) -> None:
        """Stop the clocks of those that need a service that is down: they are not blamed, and asked again when it is back."""
        for service in self.services.values():
            if self.stage not in _UP or down.plan.name not in service.plan.needs:
                continue
            lost = service.lost | {down.plan.name}
            if service.phase in (phases.RUNNING, phases.DEGRADED):
                self.put(service.cleared()._replace(phase=phases.RUNNING, lost=lost))
            elif service.phase in (phases.STARTING, phases.PROVING):
                self.put(service._replace(until=NEVER, lost=lost))

    def expire(self) -> None:
        """Handle expired deadlines: backoff over, not ready or not terminated in time, or to be asked whether it is alive."""
        for service in self.services.values():
            if service.until > self.now:
                continue
            if service.phase == phases.BACKOFF:
                self.put(service._replace(phase=phases.WAITING, until=NEVER))
            elif service.phase == phases.TERMINATING:
                self.put(service._replace(until=NEVER), KILL)
            elif service.phase in (phases.RUNNING, phases.DEGRADED):
                self.check_liveness(service)
            elif self.stage == phases.STARTING:
                phase = service.phase if service.plan.managed else phases.FAILED
                self.fail_start(service._replace(phase=phase, error=self.too_late(service), until=NEVER))
            elif self.stage == phases.RUNNING:
                self.terminate(service, self.too_late(service))

    def too_late(self, service: Service) -> str:
        reason = f": {service.lacking}" if service.lacking else ""
        within = f"within {service.plan.seconds:g} s"
        if service.phase != phases.PROVING:
            return f"was not ready {within}{reason}"
        returned = " and ".join(need for need in service.plan.needs if need in service.lost)
        return f"did not work again {within} of the return of {returned}{reason}"

    def terminate(self, service: Service, error: str) -> None:
        self.hold_clocks(service)
        until = self.now + service.plan.grace
        self.put(service.cleared()._replace(phase=phases.TERMINATING, error=error, until=until), TERMINATE)

    def check_liveness(self, service: Service) -> None:
        """Ask a service that is ready whether it still answers, or count a failure when it has not in time.

        It is left alone while the stack starts or stops, and while something it needs is down. After a failure the question
        stays open, since the service may answer late. A deadline that is noticed long after it passed does not count: the
        supervisor did not run either, on a machine that slept.
        """
        liveness = service.plan.liveness
        if self.stage != phases.RUNNING or not _all_run(self.needs(service)):
            self.put(service._replace(until=self.now + liveness.every))
        elif not service.checking:
            self.put(service._replace(checking=True, until=self.now + liveness.timeout), CHECK)
        elif self.now > service.until + liveness.timeout:
            self.put(service._replace(until=self.now + liveness.timeout))
        else:
            self.fail_check(service)

    def fail_check(self, service: Service) -> None:
        """Count a failure; whoever is not ours to restart has as long as it takes.

        What the service needs is checked at once: it may be the fault of that one that this one does not work.
        """
        managed, liveness = service.plan.managed, service.plan.liveness
        failures, reason = service.failures + 1, service.lacking or "no answer"
        if managed and failures >= liveness.failures:
            self.terminate(service, f"failed {failures} liveness checks in a row: {reason}")
            return
        self.hold_clocks(service)
        until = self.now + liveness.every if managed else NEVER
        self.put(service._replace(phase=phases.DEGRADED, failures=failures, until=until, lacking=reason))
        for need in self.needs(service):
            if need.phase == phases.RUNNING and not need.checking and need.until != NEVER:
                self.check_liveness(need)

    def carry_out_requests(self) -> None:
        """Stop the services that commands have stopped, and start those again that have ended for a restart."""
        for service in self.services.values():
            if not service.requested or service.phase == phases.TERMINATING:
                continue
            if service.phase in ALIVE:
                self.terminate(service, service.error)
            elif service.requested == STOP:
                self.put(service._replace(phase=phases.STOPPED, until=NEVER, error=STOPPED_BY_COMMAND))
            else:
                self.put(service._replace(phase=phases.WAITING, until=NEVER, error="", requested=""))

    def prove_again(self) -> None:
        """Ask whoever needs a service that has come back for its proofs once more: it may not work as before."""
        for service in self.services.values():
            if service.is_held and _all_run(self.needs(service)):
                phase = phases.STARTING if service.phase == phases.STARTING else phases.PROVING
                self.put(service._replace(phase=phase, until=self.now + service.plan.seconds, lacking=""), PROVE)

    def start_next(self) -> None:
        """Start every waiting service whose needs are met; they start at the same time."""
        for service in self.services.values():
            if service.phase == phases.WAITING and _all_run(self.needs(service)):
                until, restarts = self.now + service.plan.seconds, service.restarts + bool(service.crashes)
                self.put(service._replace(phase=phases.STARTING, since=self.now, until=until, restarts=restarts), SPAWN)
        if self.stage == phases.STARTING and _all_run(self.services.values()):
            self.stage = phases.RUNNING

    def stop_next(self) -> None:
        """Terminate the services of the highest stop order; the others wait until these have ended."""
        for service in self.services.values():
            if service.phase not in (phases.FAILED, phases.TERMINATING):
                stays = service.plan.managed and service.phase in ALIVE
                self.put(service.cleared()._replace(phase=service.phase if stays else phases.STOPPED))
        alive = [service for service in self.services.values() if service.phase in ALIVE]
        highest = max((service.plan.stop_order for service in alive), default=0)
        for service in alive:
            if service.plan.stop_order == highest and service.phase != phases.TERMINATING:
                self.terminate(service, service.error)
        if not alive:
            self.stage = phases.STOPPED


def _all_run(services: Iterable[Service]) -> bool:
    return all(service.phase == phases.RUNNING for service in services)
