"""Decides what the supervisor does next: a pure function of the state, the events and the time.

The supervisor creates the events and executes the actions; nothing here has side effects.
"""

from collections.abc import Callable

from stigmer_launcher.launch.plan import Plan
from stigmer_launcher.supervise.lifecycle import (
    ALIVE,
    KILL,
    NEVER,
    RESTART,
    STOP,
    TERMINATE,
    Action,
    Event,
    Exited,
    NotReady,
    Policy,
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


def initial_state(plans: tuple[Plan, ...], policy: Policy = Policy()) -> State:  # noqa: B008 - an immutable value
    """Give the state in which nothing has been started."""
    return State(tuple(Service(plan) for plan in plans), policy=policy)


def decide(state: State, events: tuple[Event, ...], now: float) -> tuple[State, tuple[Action, ...]]:
    """Apply events and expired deadlines, and return the new state and the actions; there are none once `stopped`."""
    for event in events:
        state = _apply(state, event, now)
    state, kills = _expire(state, now)
    if state.stage == STOPPING:
        state, steps = _stop_next(state, now)
        return state, kills + steps
    state, stops = _follow_orders(state, now)
    state, proofs = _prove_again(state, now)
    state, steps = _start_next(state, now)
    return state, kills + stops + proofs + steps


def next_due(state: State) -> float:
    """Give the time at which something is due without any event, or NEVER."""
    return min((service.until for service in state.services), default=NEVER)


def find(state: State, name: str) -> Service:
    """Give a service by its name."""
    return next(service for service in state.services if service.plan.name == name)


def is_degraded(state: State) -> bool:
    """Tell whether a started stack lacks a service."""
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
        return _order_stop(state, service)
    return _replace_service(state, _learn(service, event))


def _learn(service: Service, event: Spawned | NotReady | Ready) -> Service:
    """Take in what is known of a process."""
    if isinstance(event, Spawned):
        return service._replace(pid=event.pid)
    if isinstance(event, NotReady):
        return service._replace(not_ready_reason=event.reason)
    if service.phase not in (STARTING, PROVING):
        return service
    return service._replace(phase=RUNNING, until=NEVER, not_ready_reason="")


def _order_stop(state: State, service: Service) -> State:
    """Order the stop of a service of ours, once the stack runs."""
    accepted = state.stage == RUNNING and service.plan.managed
    return _replace_service(state, service._replace(order=STOP, crashes=(), error="")) if accepted else state


def _start_again(state: State, service: Service) -> State:
    """Order the start of a service that a command has stopped, and of those that it needs."""
    for need in service.plan.needs:
        state = _start_again(state, find(state, need))
    return _replace_service(state, service._replace(order=RESTART)) if service.order == STOP else state


def _ended(state: State, service: Service, event: Exited, now: float) -> State:
    """Handle the exit of a process: expected, a failed start, or a retry with backoff.

    Once the stack has run, every service has been healthy, so none is given up. During the start only a signal of
    somebody else's is worth a retry: a program that ends itself then would do so again.
    """
    if service.order or state.stage in (STOPPING, STOPPED):
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
    """Give those that are proving themselves as long as it takes while a service they need is down."""

    def hold(service: Service) -> Service:
        waits = service.phase in (STARTING, PROVING) and name in service.plan.needs
        return service._replace(until=NEVER) if waits else service

    return _map_services(state, hold)


def _fail_start(state: State, service: Service, error: str) -> State:
    """Abort the start because one service failed; if it still runs, it is stopped with the others."""
    phase = service.phase if service.pid else FAILED
    failed = _replace_service(state, service._replace(phase=phase, error=error, until=NEVER))
    return failed._replace(stage=STOPPING, failed=service.plan.name)


def _expire(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Handle expired deadlines: backoff over, not ready in time, or not terminated in time."""
    actions: tuple[Action, ...] = ()
    for service in state.services:
        if service.until > now:
            continue
        if service.phase == BACKOFF:
            state = _replace_service(state, service._replace(phase=WAITING, until=NEVER))
        elif service.phase == TERMINATING:
            actions += (Signal(service.plan.name, KILL),)
            state = _replace_service(state, service._replace(until=NEVER))
        elif state.stage == STARTING:
            state = _fail_start(state, service, _too_late(state, service))
        elif state.stage == RUNNING:
            actions += (Signal(service.plan.name, TERMINATE),)
            error = _too_late(state, service)
            late = service._replace(phase=TERMINATING, error=error, until=now + service.plan.grace)
            state = _replace_service(state, late)
    return state, actions


def _follow_orders(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Stop the services that commands have stopped, and start those again that have ended for a restart."""
    actions: tuple[Action, ...] = ()
    for service in state.services:
        if not service.order or service.phase == TERMINATING:
            continue
        if service.phase in ALIVE:
            actions += (Signal(service.plan.name, TERMINATE),)
            state = _hold_clocks(state, service.plan.name)
            ordered = service._replace(phase=TERMINATING, until=now + service.plan.grace, not_ready_reason="")
        elif service.order == STOP:
            ordered = service._replace(phase=STOPPED, until=NEVER, error=STOPPED_BY_COMMAND)
        else:
            ordered = service._replace(phase=WAITING, until=NEVER, error="", order="")
        state = _replace_service(state, ordered)
    return state, actions


def _prove_again(state: State, now: float) -> tuple[State, tuple[Action, ...]]:
    """Ask whoever needs a service that was restarted, and is ready, for its proofs once more: it may not have come back."""
    running = _running(state)
    actions: tuple[Action, ...] = ()
    for service in state.services:
        if service.phase not in (STARTING, RUNNING, PROVING) or not running.issuperset(service.plan.needs):
            continue
        if any(find(state, need).since > service.asked for need in service.plan.needs):
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
            started = service._replace(phase=STARTING, since=now, asked=now, until=until, restarts=again)
            state = _replace_service(state, started)
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
    restarted = " and ".join(need for need in service.plan.needs if find(state, need).since > service.since)
    return f"did not work again {within} of the restart of {restarted}{reason}"


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
    """Give the state with one service replaced."""
    name = service.plan.name
    return state._replace(services=tuple(service if old.plan.name == name else old for old in state.services))


def _map_services(state: State, change: Callable[[Service], Service]) -> State:
    return state._replace(services=tuple(change(old) for old in state.services))
