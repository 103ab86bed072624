"""Services of a running server: waits for them, stops or restarts some while the others go on."""

import time
from collections.abc import Iterable, Iterator, Sequence

from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.errors import EXTERNAL_REMEDY, BusyError, DegradedError, StoppedError, UsageError
from stigmer_launcher.supervise import control, leftovers, lifecycle, phases, state
from stigmer_launcher.system.places import find_places

_TIMEOUT = 300.0  # seconds to wait for a start or a stop that another command requested
_POLL_INTERVAL = 0.02  # seconds
_DOING = {lifecycle.STOP: "stopping", lifecycle.RESTART: "restarting"}
_RESTARTS = 3  # of one service, after which a command no longer waits for it
_STOPPED_MEANWHILE = "the server has stopped meanwhile"


def stop_services(names: Sequence[str], context: Context) -> int:
    """Stop these services, and return when they have ended; nothing to stop is no failure."""
    try:
        _request_and_wait(state.Instance(find_places(context.environ).run), lifecycle.STOP, names, context)
        context.out.done(f"Stopping {', '.join(names)}")
    except StoppedError:  # another command may have stopped the whole server meanwhile
        context.out.line("Server is not running")
    return 0


def restart_services(names: Sequence[str], context: Context) -> int:
    """Restart these services, and return when they and those that need them are ready."""
    instance = state.Instance(find_places(context.environ).run)
    _request_and_wait(instance, lifecycle.RESTART, names, context)
    if not (snapshot := await_running(instance, context.out, start_stopped=False)):
        raise StoppedError(_STOPPED_MEANWHILE)
    require_running(each for each in snapshot.services if each.name in names or each.state != phases.STOPPED)
    context.out.done(f"Restarting {', '.join(names)}")
    return 0


def require_running(services: Iterable[state.ServiceSnapshot]) -> None:
    """Raise DegradedError that names the services that do not run, and why."""
    if missing := [each for each in services if each.state != phases.RUNNING]:
        reasons = ((f"{each.name} is {each.state}", each.not_ready_reason or each.last_error) for each in missing)
        said = "; ".join(": ".join(filter(None, reason)) for reason in reasons)
        names = " ".join(each.name for each in missing if each.managed)
        remedy = f"run `stigmer server logs {names}`, then `stigmer server restart {names}`"
        raise DegradedError(said, remedy if names else EXTERNAL_REMEDY)


def await_running(instance: state.Instance, out: Terminal, *, start_stopped: bool = True) -> state.Snapshot | None:
    """Wait until the server neither starts nor stops nor restarts a service; start services that a command stopped.

    Return its snapshot, in which a service is missing only if it does not come back; None when no server runs.
    """
    first, reported = state.living_snapshot(instance), ""
    for pid, snapshot, is_last in _poll(instance, _TIMEOUT):
        is_degraded = snapshot.state == phases.DEGRADED
        stopped = [each.name for each in snapshot.services if each.state == phases.STOPPED]
        if start_stopped and stopped and is_degraded and not is_last:
            control.request(instance, lifecycle.START, stopped)
        elif _is_settled(snapshot, first) or (is_degraded and is_last):
            return snapshot
        if (awaited := _describe_wait(snapshot, pid)) != reported:
            out.line(awaited)
            reported = awaited
    return None


def _is_settled(snapshot: state.Snapshot, first: state.Snapshot) -> bool:
    """Return whether all run, or waiting is useless: for a service restarted too often, an external or a stopped one."""
    if snapshot.state != phases.DEGRADED:  # the supervisor may not know yet that a service has ended
        return snapshot.state == phases.RUNNING and all(map(leftovers.is_alive, snapshot.processes))
    return all(each.state in (phases.RUNNING, phases.STOPPED, phases.WAITING) for each in snapshot.services) or any(
        (each.state == phases.BACKOFF and each.restarts - first.service(each.name).restarts >= _RESTARTS)
        or (each.state == phases.DEGRADED and not each.managed)
        for each in snapshot.services
    )


def _describe_wait(snapshot: state.Snapshot, pid: int) -> str:
    if snapshot.state in (phases.RUNNING, phases.DEGRADED):
        return f"The server (pid {pid}) is restarting services; waiting"
    if snapshot.state in (phases.STOPPING, phases.STOPPED):
        return f"The server (pid {pid}) is stopping; waiting"
    return f"Another `stigmer server` (pid {pid}) is starting; waiting"


def _request_and_wait(instance: state.Instance, verb: str, names: Sequence[str], context: Context) -> None:
    """Wait until the server has started, request a stop or restart, and wait until all these services have done it."""
    _require_known(names, state.living_snapshot(instance), context)
    started_states = (phases.RUNNING, phases.DEGRADED)
    started = next((each for _, each, _ in _poll(instance, _TIMEOUT) if each.state in started_states), None)
    if started is None:
        raise StoppedError("the server is stopped")
    before = [started.service(name) for name in names]
    listed = ", ".join(names)
    context.out.transient(f"{_DOING[verb].capitalize()} {listed}...")
    control.request(instance, verb, names)
    seconds = max(each.grace for each in before) + state.STOP_MARGIN
    for _, snapshot, _ in _poll(instance, seconds, f"{_DOING[verb]} {listed}"):
        if snapshot.supervisor_pid != started.supervisor_pid:
            break
        if all(_is_done(verb, snapshot.service(each.name), each) for each in before):
            return
    raise StoppedError(_STOPPED_MEANWHILE)


def _is_done(verb: str, now: state.ServiceSnapshot, before: state.ServiceSnapshot) -> bool:
    """Return whether a service has stopped or started again, or waits for one it needs; another command may be the cause."""
    if now.state == phases.STOPPED:
        return verb == lifecycle.STOP or before.state != phases.STOPPED
    return now.since > before.since or (verb == lifecycle.RESTART and now.state == phases.WAITING)


def _require_known(names: Sequence[str], snapshot: state.Snapshot, context: Context) -> None:
    """Raise UsageError when one of these services is external, or unknown to the server (if none runs, to the keg)."""
    known: Sequence[str] = [each.name for each in snapshot.services]
    if not known:
        from stigmer_launcher.cli.completion import names_of  # which a start does not need

        known = names_of(context.environ).get("SERVICE", ())
    remedy = "run `stigmer server status`"
    if unknown := [name for name in names if known and name not in known]:
        raise UsageError(f"there is no service {unknown[0]}; there are {', '.join(known)}", remedy)
    if external := [name for name in names if not snapshot.service(name).managed]:
        raise UsageError(f"{external[0]} at {snapshot.temporal} is external: this server does not run it", remedy)


def _poll(instance: state.Instance, seconds: float, doing: str = "") -> Iterator[tuple[int, state.Snapshot, bool]]:
    """Yield pid and snapshot of the server until it ends, and whether the time is over: BusyError comes next."""
    deadline = time.monotonic() + seconds
    while pid := state.supervisor_pid(instance):
        snapshot, is_last = state.living_snapshot(instance), time.monotonic() > deadline
        yield pid, snapshot, is_last
        if is_last:
            raise BusyError(f"process {pid} has been {doing or snapshot.state or phases.STARTING} for {seconds:g} s")
        time.sleep(_POLL_INTERVAL)
