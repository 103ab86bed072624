"""`stigmer server` and `stigmer server restart`: return when every service is ready, or report why not."""

import os
import time
from collections.abc import Mapping

from stigmer_launcher.cli.commands.version import version_mismatch
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.progress import Progress
from stigmer_launcher.cli.terminal import Context
from stigmer_launcher.errors import BusyError, DegradedError, PortError, UsageError
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.launch.prepare import prepare
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.daemon import detach, events, supervise
from stigmer_launcher.supervise.leftovers import is_alive
from stigmer_launcher.supervise.state import (
    Instance,
    Snapshot,
    living_snapshot,
    read_snapshot,
    supervisor_pid,
    versions_in_use,
)
from stigmer_launcher.system.places import Places, find_places
from stigmer_launcher.system.sd_notify import notify_ready

_INTERRUPTED = 130
_TIMEOUT = 300.0  # seconds to wait for a start or a stop that somebody else asked for
_PAUSE = 0.02
_RESTARTS = 3  # of one service while it is waited for: it does not come back by itself


def start(invocation: Invocation, context: Context) -> int:
    """Start everything, unless it runs already."""
    return _start(_ports(invocation.all_values("port")), invocation, context)


def _start(ports: Mapping[str, int], invocation: Invocation, context: Context) -> int:
    places = find_places(context.environ)
    instance = Instance(places.run)
    progress = Progress(context.out)
    while True:
        if running := _await_running(instance, progress):
            return _already(running, context)
        try:
            launch = _prepare(places, ports, context, progress)
        except PortError:
            if supervisor_pid(instance) or not read_snapshot(instance).is_clean:
                continue  # it is Stigmer's own, started meanwhile
            raise
        code = _run(launch, invocation, context, progress)
        if not progress.again:
            return code
        progress.again = False


def restart(invocation: Invocation, context: Context) -> int:
    """Stop what runs and start what is installed; what can be refused is refused while the old one still runs.

    It keeps the ports that the running server was asked to use.
    """
    places = find_places(context.environ)
    instance = Instance(places.run)
    before = read_snapshot(instance)
    ports = {**({} if before.is_clean else before.asked_ports), **_ports(invocation.all_values("port"))}
    if not supervisor_pid(instance):
        return _start(ports, invocation, context)
    from stigmer_launcher.cli.commands.stop import stop_server

    progress = Progress(context.out)
    launch = _prepare(places, ports, context, progress)
    stop_server(instance, context.out)
    code = _run(launch, invocation, context, progress)
    return _start(ports, invocation, context) if progress.again else code


def _prepare(places: Places, ports: Mapping[str, int], context: Context, progress: Progress) -> Launch:
    instance = Instance(places.run)
    launch, made = prepare(
        context.environ,
        places,
        ports,
        progress.note,
        installing=lambda: progress.step("Extracting binaries"),
        in_use=lambda: versions_in_use(instance),
        leftovers=not read_snapshot(instance).is_clean,
    )
    if made:
        progress.done("Extracting binaries")
    return launch._replace(asked_ports=ports)


def _run(launch: Launch, invocation: Invocation, context: Context, progress: Progress) -> int:
    run = _foreground if invocation.has("foreground") else _background
    return run(launch, context, progress)


def _background(launch: Launch, context: Context, progress: Progress) -> int:
    pid, reader = detach(launch)
    for event in events(pid, reader):
        progress.take(event)
    os.close(reader)
    progress.conclude()
    if progress.interrupted:
        return _INTERRUPTED
    if not progress.again:
        _show(living_snapshot(Instance(launch.run)), context, "All services running")
    return 0


def _foreground(launch: Launch, context: Context, progress: Progress) -> int:
    def emit(event: dict[str, object]) -> None:
        progress.take(event)
        if event["event"] == phases.RUNNING:
            progress.note("All services running")
            notify_ready(context.environ)

    code = supervise(launch, emit)
    progress.conclude()
    return code


def _await_running(instance: Instance, progress: Progress) -> Snapshot | None:
    """Wait while another command starts or stops the server, or a service is restarted.

    Give the snapshot of the running server, which lacks a service only when that does not come back; None when none runs.
    """
    deadline = time.monotonic() + _TIMEOUT
    restarts: dict[str, int] = {}
    noted = ""
    while pid := supervisor_pid(instance):
        snapshot = living_snapshot(instance)
        restarts = restarts or {each.name: each.restarts for each in snapshot.services}
        if _is_settled(snapshot, restarts):
            return snapshot
        if noted != (noted := _awaited(snapshot, pid)):
            progress.note(noted)
        if time.monotonic() > deadline:
            if snapshot.state == phases.DEGRADED:
                return snapshot
            raise BusyError(f"process {pid} has been {snapshot.state or phases.STARTING} for {_TIMEOUT:g} s")
        time.sleep(_PAUSE)
    return None


def _is_settled(snapshot: Snapshot, restarts: Mapping[str, int]) -> bool:
    """Tell whether everything runs, or a service has been restarted so often meanwhile that waiting is of no use."""
    if snapshot.state == phases.RUNNING:
        return all(map(is_alive, snapshot.members))  # the supervisor may not have seen yet that one has ended
    if snapshot.state != phases.DEGRADED:
        return False
    return any(
        each.state == phases.BACKOFF and each.restarts - restarts.get(each.name, 0) >= _RESTARTS
        for each in snapshot.services
    )


def _awaited(snapshot: Snapshot, pid: int) -> str:
    """Say what is waited for."""
    if snapshot.state in (phases.RUNNING, phases.DEGRADED):
        return f"Waiting until the server (pid {pid}) has restarted what ended"
    if snapshot.state in (phases.STOPPING, phases.STOPPED):
        return f"The server (pid {pid}) is stopping; waiting"
    return f"Another `stigmer server` (pid {pid}) is starting; waiting"


def _already(snapshot: Snapshot, context: Context) -> int:
    """Say that everything runs; DegradedError when not everything does."""
    _show(snapshot, context, "Stigmer is running already")
    missing = [each for each in snapshot.services if each.state != phases.RUNNING]
    if missing:
        said = "; ".join(f"{each.name} is {each.state}: {each.lacking or each.last_error}" for each in missing)
        raise DegradedError(said)
    return 0


def _show(snapshot: Snapshot, context: Context, heading: str) -> None:
    """Print where everything is."""
    out = context.out
    out.line(out.paint(heading, "bold"))
    rows = [(name, f"http://localhost:{number}" if name.endswith("-ui") else f"localhost:{number}")
            for name, number in snapshot.ports.items()]  # fmt: skip
    rows += [("logs", snapshot.logs), ("stop", "stigmer server stop")]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        out.line(f"  {name:<{width}}  {text}")
    if hint := version_mismatch(snapshot, context.environ):
        out.line(hint)


def _ports(chosen: tuple[str, ...]) -> dict[str, int]:
    """Read `NAME=NUMBER` of the command line."""
    ports: dict[str, int] = {}
    for text in chosen:
        name, equals, number = text.partition("=")
        if not (name and equals and number.isascii() and number.isdigit() and 0 < int(number) < 65536):
            raise UsageError(f"--port {text} is not NAME=NUMBER, with a number between 1 and 65535")
        ports[name] = int(number)
    return ports
