"""`stigmer server stop`: stops the supervisor, and returns when it and its services have ended."""

import signal
import time
from collections.abc import Iterator

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.errors import BusyError
from stigmer_launcher.supervise import leftovers, phases, state
from stigmer_launcher.system import process
from stigmer_launcher.system.places import find_places

_PAUSE = 0.002
_SHOWN = 0.1  # seconds between two looks at what is shown
_SPARE = 15.0  # seconds beyond the graces of all services
_LONG = 1.0  # seconds of a service's stop that are worth a line


def stop(invocation: Invocation, context: Context) -> int:
    """Stop everything, or the services named; nothing to stop is no failure."""
    if invocation.arguments:
        from stigmer_launcher.cli.commands.services import stop_services

        return stop_services(invocation.arguments, context)
    instance = state.Instance(find_places(context.environ).run)
    if not stop_server(instance, context.out):
        context.out.line("Server is not running")
    return 0


def stop_server(instance: state.Instance, out: Terminal) -> bool:
    """Return when no process of the server runs any more, whoever stops them; False when there was none."""
    asked = time.monotonic()
    stopped = _stop_supervisor(instance, out)
    cleaned = _await_watchdog(instance, out)
    left, ended = state.read_snapshot(instance), 0
    for line in slow_stops(left, asked) if left.supervisor_pid == stopped else ():
        out.line(line)
    if not (left.is_clean or state.supervisor_pid(instance)):  # it was killed together with its watchdog
        ended = leftovers.stop_services(left.processes, left.token)
    if ended:
        out.line(f"Ended {ended} processes of a killed server")
    elif stopped or cleaned:
        out.done("Stopping server")
    return bool(stopped or cleaned or ended)


def _stop_supervisor(instance: state.Instance, out: Terminal) -> int:
    """Stop the supervisor and return its pid, 0 when none runs; BusyError when it does not come to an end."""
    pid = state.supervisor_pid(instance)
    if not pid:
        return 0
    known = process.identity(pid)
    process.send_signal(pid, known, signal.SIGTERM)  # first: what is read next takes time that the services can use
    deadline = time.monotonic() + state.living_snapshot(instance).grace + _SPARE
    shown = ""
    while state.supervisor_pid(instance) == pid or process.is_same_process(pid, known):  # its lock goes before it does
        if time.monotonic() > deadline:
            raise BusyError(
                f"the supervisor, process {pid}, was told to stop and still runs",
                f"look at `stigmer server status`; `kill -9 {pid}` lets its watchdog end the services",
            )
        if out.live:
            services = state.living_snapshot(instance).services
            names = [each.name for each in services if each.state == phases.TERMINATING]
            if shown != (text := f"Stopping {', '.join(names) or 'server'}..."):
                out.transient(shown := text)
        process.wait_for_end(pid, known, _SHOWN)
    return pid


def slow_stops(snapshot: state.Snapshot, asked: float) -> Iterator[str]:
    """Say of each service that took long to stop since `asked` (monotonic seconds) how long, and whether it was killed."""
    for name, times in snapshot.timeline.items():
        if (told := times.get("told")) is None or snapshot.began + told < asked:
            continue
        if "killed" in times:
            yield f"{name} did not stop within {round(times['killed'] - told, 1):g} s and was killed"
        elif (took := times.get("ended", told) - told) >= _LONG:
            yield f"{name} took {round(took, 1):g} s to stop"


def _await_watchdog(instance: state.Instance, out: Terminal) -> bool:
    """Wait until the watchdog of a killed supervisor has stopped the services; False when there is none."""
    deadline = time.monotonic() + state.WATCHDOG_SECONDS
    waited = 0
    while pid := state.cleaning_pid(instance):
        if pid != waited:
            out.line(f"Waiting for process {pid}, which stops the services of a killed supervisor")
            waited = pid
        if time.monotonic() > deadline:
            raise BusyError(f"process {pid} has been stopping services for {state.WATCHDOG_SECONDS:g} s")
        time.sleep(_PAUSE)
    return waited != 0
