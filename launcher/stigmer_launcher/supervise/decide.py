"""Decides what the supervisor does next: a pure function of the state, the events and the time.

The supervisor creates the events and executes the actions; nothing here has side effects.
"""

from collections.abc import Callable

from stigmer_launcher.install.payload import Restart
from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise.lifecycle import (
    ALIVE,
    KILL,
    NEVER,
    RESTART,
    STOP,
    TERMINATE,
    Action,
    CheckLiveness,
    Event,
    Exited,
    NotReady,
    Prove,
    Ready,
    Service,
    ServiceStartRequested,
    ServiceStopRequested,
    Signal,
    Spawn,
    Spawned,
    State,
    StopRequested,
)
from stigmer_launcher.supervise.phases import (
    BACKOFF,
    DEGRADED,
    FAILED,
    PROVING,
    RUNNING,
    STARTING,
    STOPPED,
    STOPPING,
    TERMINATING,
    WAITING,
)

STOPPED_BY_COMMAND = "stopped by `stigmer server stop`; `stigmer server` starts it"


def initial_state(plans: tuple[Plan, ...], policy: Restart = Restart()) -> State:  # noqa: B008 - an immutable value
    """Return the state in which nothing has been started."""
    return State(tuple(Service(plan) for plan in plans), policy=policy)


def decide(state: State, events: tuple[Event, ...], now: float) -> tuple[State, tuple[Action, ...]]:
    """Apply events and expired deadlines, and return the new state and the actions; there are none once `stopped`."""
    for event in events:
        state = _apply(state, event, now)
    state, kills = _expire(state, now)
    if state.stage == STOPPING:
        state, steps = _stop_next(state, now)
        return state, kills + steps
    state, stops = _carry_out_requests(state, now)
    state, proofs = _prove_again(state, now)
    state, steps = _start_next(state, now)
    return state, kills + stops + proofs + steps


def next_due(state: State) -> float:
    """Return the time at which something is due without any event, or NEVER."""
    return min((service.until for service in state.services), default=NEVER)


def find(state: State, name: str) -> Service:
    """Return a service by its name."""
    return next(service for service in state.services if service.plan.name == name)


def is_degraded(state: State) -> bool:
    """Return whether a started stack lacks a service."""
    return state.stage == RUNNING and any(service.phase != RUNNING for service in state.services)


def _apply(state: State, event: Event, now: float) -> State:
    if isinstance(event, StopRequested):
        return _map_services(state, _without_grace if event.now else _unchanged)._replace(stage=STOPPING)
    service = find(state, event.name)
    if isinstance(event, Exited):
        return _ended(state, service._replace(pid=0, until=NEVER, not_ready_reason=""), event, now)
    if isinstance(event, ServiceStartRequested):
        return _start_again(state, service)
    if isinstance(event, ServiceStopRequested):
        return _request_stop(state, service)
    return _replace_service(state, _learn(service, event, now))


def _learn(service: Service, event: Spawned | NotReady | Ready, now: float) -> Service:
    """Take in what is known of a process."""
    if isinstance(event, Spawned):
        return service._replace(pid=event.pid)
    if isinstance(event, NotReady):
        lacks = service.phase != RUNNING or service.checking
        return service._replace(not_ready_reason=event.reason) if lacks else service
    return _answered(service, now)


def _request_stop(state: State, service: Service) -> State:
    """Note that a command wants a service of ours stopped, once the stack runs."""
    accepted = state.stage == RUNNING and service.plan.managed
    return _replace_service(state, service._replace(requested=STOP, crashes=(), error="")) if accepted else state


def _start_again(state: State, service: Service) -> State:
    """Note that a service which a command has stopped is to be started, and those that it needs."""
    for need in service.plan.needs:
        state = _start_again(state, find(state, need))
    return _replace_service(state, service._replace(requested=RESTART)) if service.requested == STOP else state


def _ended(state: State, service: Service, event: Exited, now: float) -> State:
    """Handle the exit of a process: expected, a failed start, or a retry with backoff.

    Once the stack has run, every service has been healthy, so none is given up. During the start only a signal of
    somebody else's is worth a retry: a program that ends itself then would do so again.
    """
    if service.requested or state.stage in (STOPPING, STOPPED):
        return _replace_service(state, service._replace(phase=STOPPED))
    error = service.error if service.phase == TERMINATING else event.error
    policy = state.policy
    crashes = (*(time for time in service.crashes if now - time < policy.window), now)
    if state.stage == STARTING and not (event.outside and len(crashes) <= policy.limit):
        return _fail_start(state, service, error)
    state = _hold_clocks(state, service.plan.name)
    pause = min(policy.first_pause * 2.0 ** (len(crashes) - 1), policy.longest_pause)
    paused = service._replace(phase=BACKOFF, until=now + pause, crashes=crashes, error=error)
    return _replace_service(state, paused)


def _hold_clocks(state: State, name: str) -> State:
    """Stop the clocks of those that need a service that is down: they are not blamed, and asked again when it is back."""

    def hold(service: Service) -> Service:
        if name not in service.plan.needs:
            return service
        if service.phase in (RUNNING, DEGRADED):
            return service._replace(phase=RUNNING, until=NEVER, checking=False, failures=0, not_ready_reason="")
        return service._replace(until=NEVER) if service.phase in (STARTING, PROVING) else service

    return _map_services(state, hold)


def _fail_start(state: State, service: Service, error: str) -> State:
    """Abort the start because one service failed; if it still runs, it is stopped with the others."""
    phase = service.phase if service.pid else FAILED
    failed = _replace_service(state, service._replace(phase=phase, error=error, until=NEVER))
    return failed._replace(stage=STOPPING, failed=service.plan.name)


def _expire(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Handle expired deadlines: backoff over, not ready or not terminated in time, or to be asked whether it is alive."""
    actions: tuple[Action, ...] = ()
    for name in [each.plan.name for each in state.services]:
        service = find(state, name)  # one that expired before may have changed it
        if service.until > now:
            continue
        if service.phase == BACKOFF:
            state = _replace_service(state, service._replace(phase=WAITING, until=NEVER))
        elif service.phase == TERMINATING:
            actions += (Signal(service.plan.name, KILL),)
            state = _replace_service(state, service._replace(until=NEVER))
        elif service.phase in (RUNNING, DEGRADED):
            state, more = _check_liveness(state, service, now)
            actions += more
        elif state.stage == STARTING:
            state = _fail_start(state, service, _too_late(state, service))
        elif state.stage == RUNNING:
            state, more = _terminate(state, service, _too_late(state, service), now)
            actions += more
    return state, actions


def _terminate(state: State, service: Service, error: str, now: float) -> tuple[State, tuple[Action, ...]]:
    """Stop a service that does not work, to start it again."""
    ending = service._replace(phase=TERMINATING, error=error, until=now + service.plan.grace, not_ready_reason="")
    return _replace_service(state, ending), (Signal(service.plan.name, TERMINATE),)


def _answered(service: Service, now: float) -> Service:
    """Return a service that has proved that it works: it is asked again after a while."""
    if service.phase not in (STARTING, PROVING, DEGRADED) and not (service.phase == RUNNING and service.checking):
        return service
    back = now if service.phase == DEGRADED else service.back
    until = now + service.plan.liveness.every
    return service._replace(phase=RUNNING, until=until, back=back, checking=False, failures=0, not_ready_reason="")


def _check_liveness(state: State, service: Service, now: float) -> tuple[State, tuple[Action, ...]]:
    """Ask a service that is ready whether it still answers, or count a failure when it has not in time.

    It is left alone while the stack starts or stops, and while something it needs is down. After a failure the question
    stays open, since the service may answer late. A deadline that is noticed long after it passed does not count: the
    supervisor did not run either, on a machine that slept.
    """
    liveness = service.plan.liveness
    if state.stage != RUNNING or not _running(state).issuperset(service.plan.needs):
        return _replace_service(state, service._replace(until=now + liveness.every)), ()
    if not service.checking:
        asked = service._replace(checking=True, until=now + liveness.timeout)
        return _replace_service(state, asked), (CheckLiveness(service.plan.name),)
    if now > service.until + liveness.timeout:
        return _replace_service(state, service._replace(until=now + liveness.timeout)), ()
    failed = _failed_check(service, now)
    if failed.plan.managed and failed.failures >= liveness.failures:
        state = _hold_clocks(state, service.plan.name)
        error = f"failed {failed.failures} liveness checks in a row: {failed.not_ready_reason}"
        return _terminate(state, failed, error, now)
    state = _hold_clocks(_replace_service(state, failed), service.plan.name)
    return _doubt_needs(state, service, now)


def _failed_check(service: Service, now: float) -> Service:
    """Count a failure; whoever is not ours to restart has as long as it takes."""
    until = now + service.plan.liveness.every if service.plan.managed else NEVER
    reason = service.not_ready_reason or "no answer"
    return service._replace(phase=DEGRADED, failures=service.failures + 1, until=until, not_ready_reason=reason)


def _doubt_needs(state: State, service: Service, now: float) -> tuple[State, tuple[Action, ...]]:
    """Check at once what a service needs: it may be the fault of that one that this one does not work."""
    actions: tuple[Action, ...] = ()
    for need in (find(state, name) for name in service.plan.needs):
        if need.phase == RUNNING and not need.checking and need.until != NEVER:
            state, more = _check_liveness(state, need, now)
            actions += more
    return state, actions


def _carry_out_requests(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Stop the services that commands have stopped, and start those again that have ended for a restart."""
    actions: tuple[Action, ...] = ()
    for service in state.services:
        if not service.requested or service.phase == TERMINATING:
            continue
        if service.phase in ALIVE:
            actions += (Signal(service.plan.name, TERMINATE),)
            state = _hold_clocks(state, service.plan.name)
            changed = service._replace(phase=TERMINATING, until=now + service.plan.grace, not_ready_reason="")
        elif service.requested == STOP:
            changed = service._replace(phase=STOPPED, until=NEVER, error=STOPPED_BY_COMMAND)
        else:
            changed = service._replace(phase=WAITING, until=NEVER, error="", requested="")
        state = _replace_service(state, changed)
    return state, actions


def _prove_again(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Ask whoever needs a service that has come back for its proofs once more: it may not work as before."""
    running = _running(state)
    actions: tuple[Action, ...] = ()
    for service in state.services:
        if service.phase not in (STARTING, RUNNING, PROVING) or not running.issuperset(service.plan.needs):
            continue
        if any(find(state, need).back > service.asked for need in service.plan.needs):
            actions += (Prove(service.plan.name),)
            phase = STARTING if service.phase == STARTING else PROVING
            asked = service._replace(phase=phase, asked=now, until=now + service.plan.seconds, not_ready_reason="")
            state = _replace_service(state, asked)
    return state, actions


def _start_next(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Start every waiting service whose needs are met; they start at the same time."""
    running = _running(state)
    actions: tuple[Action, ...] = ()
    for service in state.services:
        if service.phase == WAITING and running.issuperset(service.plan.needs):
            actions += (Spawn(service.plan.name),)
            again = service.restarts + bool(service.crashes)
            until = now + service.plan.seconds
            started = service._replace(phase=STARTING, since=now, asked=now, back=now, until=until, restarts=again)
            state = _replace_service(state, started._replace(checking=False, failures=0))
    if state.stage == STARTING and len(running) == len(state.services):
        state = state._replace(stage=RUNNING)
    return state, actions


def _stop_next(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Terminate the services of the highest stop order; the others wait until these have ended."""
    state = _map_services(state, _at_rest)
    alive = [service for service in state.services if service.phase in ALIVE]
    if not alive:
        return state._replace(stage=STOPPED), ()
    highest = max(service.plan.stop_order for service in alive)
    actions: tuple[Action, ...] = ()
    for service in alive:
        if service.plan.stop_order == highest and service.phase != TERMINATING:
            actions += (Signal(service.plan.name, TERMINATE),)
            state = _replace_service(state, service._replace(phase=TERMINATING, until=now + service.plan.grace))
    return state, actions


def _too_late(state: State, service: Service) -> str:
    reason = f": {service.not_ready_reason}" if service.not_ready_reason else ""
    within = f"within {service.plan.seconds:g} s"
    if service.phase != PROVING:
        return f"was not ready {within}{reason}"
    returned = " and ".join(need for need in service.plan.needs if find(state, need).back > service.since)
    return f"did not work again {within} of the return of {returned}{reason}"


def _running(state: State) -> set[str]:
    return {service.plan.name for service in state.services if service.phase == RUNNING}


def _unchanged(service: Service) -> Service:
    return service


def _without_grace(service: Service) -> Service:
    """Skip the remaining grace periods: kill now."""
    at_once = service._replace(plan=service.plan._replace(grace=0.0))
    return at_once._replace(until=0.0) if service.phase == TERMINATING and service.until != NEVER else at_once


def _at_rest(service: Service) -> Service:
    """Mark services that do not run as stopped."""
    if service.phase in (FAILED, TERMINATING):
        return service
    stays = service.plan.managed and service.phase in ALIVE
    return service._replace(phase=service.phase if stays else STOPPED, until=NEVER)


def _replace_service(state: State, service: Service) -> State:
    """Return the state with one service replaced."""
    name = service.plan.name
    return state._replace(services=tuple(service if old.plan.name == name else old for old in state.services))


def _map_services(state: State, change: Callable[[Service], Service]) -> State:
    return state._replace(services=tuple(change(old) for old in state.services))
