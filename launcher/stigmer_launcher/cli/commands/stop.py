"""`stigmer server stop`: stops the supervisor, and waits until it and its services have ended."""

import signal
import time
from collections.abc import Iterator

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.errors import BusyError
from stigmer_launcher.supervise import leftovers, phases, state
from stigmer_launcher.system import locks, process
from stigmer_launcher.system.places import find_places

_REFRESH_INTERVAL = 0.1  # seconds, of the transient line
_SLOW = 1.0  # seconds; a service that took longer to stop is named


def stop(invocation: Invocation, context: Context) -> int:
    """Stop the server, or only the services named; it is no failure when none runs."""
    if invocation.arguments:
        from stigmer_launcher.cli.commands.services import stop_services

        return stop_services(invocation.arguments, context)
    if not stop_server(state.Instance(find_places(context.environ).run), context.out):
        context.out.line("Server is not running")
    return 0


def stop_server(instance: state.Instance, out: Terminal) -> bool:
    """Stop the server and wait until none of its processes runs; False when there was none."""
    began = time.monotonic()
    stopped = _stop_supervisor(instance, out)
    snapshot = state.read_snapshot(instance)
    seconds = snapshot.grace + state.STOP_MARGIN
    cleaned = locks.await_end(lambda: state.cleaning_pid(instance), seconds, out.line, state.CLEANUP)
    if snapshot.supervisor_pid == stopped:
        for line in slow_stops(snapshot, began):
            out.line(line)
    ended = 0
    if not (snapshot.is_clean or state.supervisor_pid(instance)):  # it was killed together with its watchdog
        ended = leftovers.stop_all(snapshot.processes, snapshot.token)
    if ended:
        out.line(f"Ended processes of a killed server: {ended}")
    elif stopped or cleaned:
        out.done("Stopping server")
    return bool(stopped or cleaned or ended)


def _stop_supervisor(instance: state.Instance, out: Terminal) -> int:
    """Stop the supervisor and return its pid, 0 when none runs; BusyError when it does not end in time."""
    if not (pid := state.supervisor_pid(instance)):
        return 0
    identity, shown = process.identity(pid), ""
    process.send_signal(pid, identity, signal.SIGTERM)
    process.send_signal(pid, identity, signal.SIGCONT)  # Ctrl-Z may have stopped one in the foreground
    process.wait_for_end(pid, identity, _REFRESH_INTERVAL)  # read the state later: now the services need the processor
    deadline = time.monotonic() + state.living_snapshot(instance).grace + state.STOP_MARGIN
    while state.supervisor_pid(instance) == pid or process.is_same_process(pid, identity):  # the lock is released first
        if time.monotonic() > deadline:
            remedy = f"run `stigmer server status`; after `kill -9 {pid}`, its watchdog stops the services"
            raise BusyError(f"the supervisor, process {pid}, did not stop in time", remedy)
        if out.live and (text := _describe_stop(instance)) != shown:
            out.transient(shown := text)
        process.wait_for_end(pid, identity, _REFRESH_INTERVAL)
    return pid


def _describe_stop(instance: state.Instance) -> str:
    stopping = [each.name for each in state.living_snapshot(instance).services if each.state == phases.TERMINATING]
    return f"Stopping {', '.join(stopping) or 'server'}..."


def slow_stops(snapshot: state.Snapshot, since: float) -> Iterator[str]:
    """Describe each service that took long to stop after `since` (monotonic seconds), or was killed for it."""
    for name, times in snapshot.timeline.items():
        terminated = times.get("terminated")
        if terminated is None or snapshot.began + terminated < since:
            continue
        if "killed" in times:
            ended = "" if "ended" in times else ", but has not ended"
            yield f"{name} did not stop within {round(times['killed'] - terminated, 1):g} s and was killed{ended}"
        elif (elapsed := times.get("ended", terminated) - terminated) >= _SLOW:
            yield f"{name} took {round(elapsed, 1):g} s to stop"
