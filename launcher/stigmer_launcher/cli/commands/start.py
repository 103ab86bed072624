"""`stigmer server` and `stigmer server restart`: return when every service is ready, or report why not."""

import os
from collections.abc import Mapping

from stigmer_launcher.cli.commands.services import await_running, require_running, restart_services
from stigmer_launcher.cli.commands.status import addresses
from stigmer_launcher.cli.commands.version import mention_mismatch
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.progress import Progress
from stigmer_launcher.cli.terminal import Context, columns
from stigmer_launcher.config.schema import is_port
from stigmer_launcher.errors import PortError, UsageError
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.launch.prepare import prepare
from stigmer_launcher.supervise import phases, state
from stigmer_launcher.supervise.daemon import supervise, supervise_detached
from stigmer_launcher.system.places import Places, find_places
from stigmer_launcher.system.service_manager import launchd_job, notify_ready

_INTERRUPTED = 130


def start(invocation: Invocation, context: Context) -> int:
    """Start everything, unless it runs already."""
    return _start(_ports(invocation.all_values("port")), invocation, context)


def restart(invocation: Invocation, context: Context) -> int:
    """Stop what runs and start what is installed; what can be refused is refused while the old one still runs.

    It keeps the ports that the running server was asked to use. With names, only those services are restarted.
    """
    if invocation.arguments:
        if invocation.options:
            raise UsageError("--port and --foreground are for a restart of all services, without SERVICE")
        return restart_services(invocation.arguments, context)
    places = find_places(context.environ)
    instance = state.Instance(places.run)
    before = state.read_snapshot(instance)
    ports = {**({} if before.is_clean else before.asked_ports), **_ports(invocation.all_values("port"))}
    if not state.supervisor_pid(instance):
        return _start(ports, invocation, context)
    from stigmer_launcher.cli.commands.stop import stop_server

    launch = _prepare(places, ports, context)
    stop_server(instance, context.out)
    code = _run(launch, invocation, context)
    return _start(ports, invocation, context) if code is None else code


def _start(ports: Mapping[str, int], invocation: Invocation, context: Context) -> int:
    places = find_places(context.environ)
    instance = state.Instance(places.run)
    code = None
    while code is None:
        if running := await_running(instance, Progress(context.out)):
            _require_ports(ports, running)
            _show(running, context, "Stigmer is running already")
            require_running(running.services)
            return 0
        try:
            launch = _prepare(places, ports, context)
        except PortError:
            if state.supervisor_pid(instance) or not state.read_snapshot(instance).is_clean:
                continue  # it is Stigmer's own, started meanwhile
            raise
        code = _run(launch, invocation, context)
    return code


def _prepare(places: Places, ports: Mapping[str, int], context: Context) -> Launch:
    instance, progress = state.Instance(places.run), Progress(context.out)
    launch, made = prepare(
        context.environ,
        places,
        ports,
        progress.note,
        installing=lambda: progress.step("Extracting binaries"),
        in_use=lambda: [state.living_snapshot(instance).installed],
        leftovers=not state.read_snapshot(instance).is_clean,
    )
    if made:
        progress.done("Extracting binaries")
    return launch._replace(asked_ports=ports)


def _run(launch: Launch, invocation: Invocation, context: Context) -> int | None:
    """Run the supervisor and return the exit code; None when another start came first."""
    progress = Progress(context.out)
    if invocation.has("foreground"):
        code = _foreground(launch, context, progress)
        return None if progress.again else code
    for event in supervise_detached(launch):
        progress.take(event)
    progress.conclude()
    if progress.again:
        return None
    if progress.interrupted:
        return _INTERRUPTED
    _show(state.living_snapshot(state.Instance(launch.places.run)), context, "All services running")
    return 0


def _foreground(launch: Launch, context: Context, progress: Progress) -> int:
    def emit(event: dict[str, object]) -> None:
        progress.take(event)
        if event["event"] == phases.RUNNING:
            progress.note("All services running")
            notify_ready(context.environ)

    code = supervise(launch._replace(job=launchd_job(context.environ, os.getppid())), emit)
    progress.conclude()
    return code


def _require_ports(asked: Mapping[str, int], snapshot: state.Snapshot) -> None:
    """PortError when the running server does not use the ports that the command line asks for."""
    others = {name: number for name, number in asked.items() if snapshot.ports.get(name) != number}
    if others:
        used = ", ".join(f"{name}={snapshot.ports.get(name, 'none')}" for name in others)
        words = " ".join(f"--port {name}={number}" for name, number in others.items())
        raise PortError(f"the server runs already, with other ports: {used}", f"run `stigmer server restart {words}`")


def _show(snapshot: state.Snapshot, context: Context, heading: str) -> None:
    rows = (*addresses(snapshot), ("logs", snapshot.logs), ("stop", "stigmer server stop"))
    for line in (context.out.paint(heading, "bold"), *columns(rows)):
        context.out.line(line)
    mention_mismatch(snapshot, context)


def _ports(chosen: tuple[str, ...]) -> dict[str, int]:
    """Read `NAME=NUMBER` of the command line."""
    ports: dict[str, int] = {}
    for text in chosen:
        name, equals, number = text.partition("=")
        if not (name and equals and is_port(number)):
            raise UsageError(
                f"--port {text} is not NAME=NUMBER, with a number between 1 and 65535",
                "run `stigmer server --port server=7300`",
            )
        ports[name] = int(number)
    return ports
