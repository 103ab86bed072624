"""`stigmer server` and `stigmer server restart`: return when every service is ready, or report why not."""

import os
from collections.abc import Mapping

from stigmer_launcher.cli.commands import services, status, stop
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.progress import Progress
from stigmer_launcher.cli.terminal import Context, columns
from stigmer_launcher.config.schema import is_port
from stigmer_launcher.errors import PortError, UsageError
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.launch.prepare import prepare
from stigmer_launcher.supervise import daemon, phases, state
from stigmer_launcher.system import service_manager
from stigmer_launcher.system.places import Places, find_places

_INTERRUPTED = 130


def start(invocation: Invocation, context: Context) -> int:
    """Start everything, unless it runs already."""
    return _start(_ports(invocation), invocation, context)


def restart(invocation: Invocation, context: Context) -> int:
    """Stop what runs and start what is installed; what can be refused is refused while the old one still runs.

    It keeps the ports that the running server was asked to use. With names, only those services are restarted.
    """
    if invocation.arguments:
        if invocation.options:
            raise UsageError("--port and --foreground are for a restart of all services, without SERVICE")
        return services.restart_services(invocation.arguments, context)
    places = find_places(context.environ)
    instance = state.Instance(places.run)
    before = state.read_snapshot(instance)
    ports = {**({} if before.is_clean else before.asked_ports), **_ports(invocation)}
    launch = None
    if state.supervisor_pid(instance):
        launch = _prepare(places, ports, context)
        stop.stop_server(instance, context.out)
    return _start(ports, invocation, context, launch)


def _start(ports: Mapping[str, int], invocation: Invocation, context: Context, launch: Launch | None = None) -> int:
    """Run what is prepared already, if anything, else prepare and run everything, unless it runs."""
    places = find_places(context.environ)
    instance = state.Instance(places.run)
    code = _run(launch, invocation, context) if launch else None
    while code is None:
        if running := services.await_running(instance, context.out):
            _require_ports(ports, running)
            _show(running, context, "Stigmer is running already")
            services.require_running(running.services)
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
    instance, out = state.Instance(places.run), context.out
    launch, made = prepare(
        context.environ,
        places,
        ports,
        out.line,
        installing=lambda: out.passing("Extracting binaries..."),
        in_use=lambda: [state.living_snapshot(instance).installed],
        leftovers=not state.read_snapshot(instance).is_clean,
    )
    if made:
        out.done("Extracting binaries")
    return launch._replace(asked_ports=ports)


def _run(launch: Launch, invocation: Invocation, context: Context) -> int | None:
    """Run the supervisor and return the exit code; None when another start came first."""
    progress, in_foreground = Progress(context.out), invocation.has("foreground")

    def emit(event: dict[str, object]) -> None:
        progress.take(event)
        if in_foreground and event["event"] == phases.RUNNING:
            context.out.line("All services running")
            service_manager.notify_ready(context.environ)

    if in_foreground:
        job = service_manager.launchd_job(context.environ, os.getppid())
        code = daemon.supervise(launch._replace(job=job), emit)
    else:
        for event in daemon.supervise_detached(launch):
            emit(event)
        code = _INTERRUPTED if progress.interrupted else 0
    progress.conclude()
    if not (in_foreground or progress.again or progress.interrupted):
        _show(state.living_snapshot(state.Instance(launch.places.run)), context, "All services running")
    return None if progress.again else code


def _require_ports(asked: Mapping[str, int], snapshot: state.Snapshot) -> None:
    """PortError when the running server does not use the ports that the command line asks for."""
    others = {name: number for name, number in asked.items() if snapshot.ports.get(name) != number}
    if others:
        used = ", ".join(f"{name}={snapshot.ports.get(name, 'none')}" for name in others)
        words = " ".join(f"--port {name}={number}" for name, number in others.items())
        raise PortError(f"the server runs already, with other ports: {used}", f"run `stigmer server restart {words}`")


def _show(snapshot: state.Snapshot, context: Context, heading: str) -> None:
    command = service_manager.command_for("stop", snapshot.supervisor_pid, snapshot.job)
    rows = (*status.addresses(snapshot), ("logs", snapshot.logs), ("stop", command))
    context.out.line("\n".join((context.out.paint(heading, "bold"), *columns(rows))))
    status.mention_mismatch(snapshot, context)


def _ports(invocation: Invocation) -> dict[str, int]:
    """Read `NAME=NUMBER` of the command line."""
    ports: dict[str, int] = {}
    for text in invocation.all_values("port"):
        name, equals, number = text.partition("=")
        if not (name and equals and is_port(number)):
            raise UsageError(
                f"--port {text} is not NAME=NUMBER, with a number between 1 and 65535",
                "run `stigmer server --port server=7300`",
            )
        ports[name] = int(number)
    return ports
