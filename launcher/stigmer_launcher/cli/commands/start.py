"""`stigmer server` and `stigmer server restart`: start the services, show the progress, and return when all are ready."""

import os
import select
from collections.abc import Mapping

from stigmer_launcher.cli.commands import services, status, stop, version
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, Terminal, columns
from stigmer_launcher.config.schema import is_port
from stigmer_launcher.errors import EXTERNAL_REMEDY, INTERRUPTED, LauncherError, PortError, StartError, UsageError
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.launch.prepare import prepare
from stigmer_launcher.supervise import daemon, phases, state
from stigmer_launcher.system import service_manager
from stigmer_launcher.system.places import find_places
from stigmer_launcher.system.ports import require_free
from stigmer_launcher.version import PORTS

Ports = Mapping[str, int]  # numbers by name
_IN_DOUBT = (phases.PROVING, phases.DEGRADED)


def start(invocation: Invocation, context: Context) -> int:
    """Start everything, unless it runs already."""
    return _start(_read_ports(invocation), {}, invocation, context)


def restart(invocation: Invocation, context: Context) -> int:
    """Stop the running server and start the installed version; errors that can be foreseen leave the old one running.

    The --port options of the old one still count for ports that the installed version has. LauncherError in a unit.
    """
    if invocation.arguments:
        if invocation.options:
            problem = "--port and --foreground are for a restart of all services, without SERVICE"
            raise UsageError(problem, "run `stigmer server restart --help`")
        return services.restart_services(invocation.arguments, context)
    instance = state.Instance(find_places(context.environ).run)
    living = state.living_snapshot(instance)
    before = living if living.supervisor_pid else state.read_snapshot(instance)  # a supervisor that waits has none yet
    kept = {} if before.is_clean else before.asked_ports
    ports = _read_ports(invocation)
    launch = None
    if pid := state.supervisor_pid(instance):
        if unit := service_manager.find_unit(pid, living.job):  # it would not manage the new one
            setup = "".join(f"stigmer config set ports.{name} {number} && " for name, number in ports.items())
            raise LauncherError(f"the server runs in the unit {unit.name}", f"run `{setup}{unit.command('restart')}`")
        if not (launch := _prepare(ports, kept, before, context)):
            return restart(invocation, context)
        stop.stop_server(instance, context.out)
    return _start(ports, kept, invocation, context, launch)


def _start(ports: Ports, kept: Ports, invocation: Invocation, context: Context, launch: Launch | None = None) -> int:
    """Run a prepared launch, if given; otherwise prepare and run one, unless the server runs already."""
    instance = state.Instance(find_places(context.environ).run)
    code = _run(launch, invocation, context) if launch else None
    while code is None:
        if running := services.await_running(instance, context.out):
            _require_ports(ports, running)
            _show(running, context, "Stigmer is running already")
            services.require_running(running.services)
            return 0
        if launch := _prepare(ports, kept, state.read_snapshot(instance), context):
            code = _run(launch, invocation, context)
    return code


def _prepare(ports: Ports, kept: Ports, before: state.Snapshot, context: Context) -> Launch | None:
    """Prepare a launch; None when a port is taken by Stigmer's own service, which was started since `before`."""
    instance, out = state.Instance(find_places(context.environ).run), context.out
    held = () if before.is_clean else before.ports.values()
    try:
        launch, installed = prepare(
            context.environ, ports, kept, out.line, held_ports=held,
            installing=lambda: out.transient("Extracting binaries..."),
            in_use=lambda: [state.living_snapshot(instance).installed],
        )  # fmt: skip
    except PortError:
        if state.read_snapshot(instance) == before:
            raise
        return None
    if installed:
        out.done("Extracting binaries")
    daemon.check_system(launch)
    return launch


def _run(launch: Launch, invocation: Invocation, context: Context) -> int | None:
    """Run the supervisor and return the exit code; None when another start was first."""
    progress, in_foreground = Progress(context.out), invocation.has("foreground")

    def emit(event: daemon.ProgressEvent) -> None:
        context.out.paused = in_foreground and not select.select([], [context.out.stream], [], 0)[1]
        progress.handle(event)
        if in_foreground and event["event"] == phases.RUNNING:
            context.out.line("All services running")
            service_manager.notify_ready(context.environ)

    if in_foreground:
        code = daemon.supervise(launch._replace(job=service_manager.launchd_job(context.environ, os.getppid())), emit)
    else:
        for event in daemon.supervise_detached(launch):
            emit(event)
        code = INTERRUPTED if progress.interrupted else 0
    progress.require_started(launch.ports)
    if not (in_foreground or progress.superseded or progress.interrupted):
        _show(state.living_snapshot(state.Instance(launch.places.run)), context, "All services running")
    return None if progress.superseded else code


def _require_ports(asked: Ports, snapshot: state.Snapshot) -> None:
    """Raise PortError when the running server uses other ports than the `asked` ones, UsageError for unknown ones."""
    if unknown := [name for name in asked if name not in snapshot.ports]:
        raise UsageError(f"there is no port {unknown[0]}; there are {', '.join(snapshot.ports)}")
    if others := {name: number for name, number in asked.items() if snapshot.ports[name] != number}:
        used = ", ".join(f"{name}={snapshot.ports[name]}" for name in others)
        words = " ".join(f"--port {name}={number}" for name, number in others.items())
        raise PortError(f"the server runs already, with other ports: {used}", f"run `stigmer server restart {words}`")


def _show(snapshot: state.Snapshot, context: Context, heading: str) -> None:
    command = service_manager.command_for("stop", snapshot.supervisor_pid, snapshot.job)
    rows = (*status.addresses(snapshot), ("logs", snapshot.logs), ("stop", command))
    context.out.line("\n".join((context.out.paint(heading, "bold"), *columns(rows))))
    version.mention_mismatch(snapshot, context)


def _read_ports(invocation: Invocation) -> dict[str, int]:
    """Return the ports of the command line's `--port NAME=NUMBER`; UsageError for another form."""
    ports: dict[str, int] = {}
    for text in invocation.all_values("port"):
        name, equals, number = text.partition("=")
        if not (name and equals and is_port(number)):
            problem = f"--port {text} is not NAME=NUMBER, with a number between 1 and 65535"
            raise UsageError(problem, f"run `stigmer server --port {min(PORTS, default='NAME')}=7300`")
        ports[name] = int(number)
    return ports


class Progress:
    """Displays the events of a start, and of the run that follows in the foreground."""

    def __init__(self, out: Terminal) -> None:
        self._out = out
        self._states: dict[str, str] = {}
        self._failure: daemon.ProgressEvent = {}
        self._started = False
        self.superseded = False  # another start was first: wait for that one
        self.interrupted = False

    def handle(self, event: daemon.ProgressEvent) -> None:
        """Show an event; raise the supervisor's LauncherError when it refused to start."""
        match event["event"]:
            case "service":
                self._show_service(event)
            case "note":
                self._out.line(event["text"])
            case "superseded":
                self.superseded = True
            case "error":
                error = LauncherError(event["message"], event["remedy"])
                error.exit_code = event["code"]
                raise error
            case "interrupted":
                self.interrupted = True
                self._out.transient("Stopping...")
            case phases.RUNNING:
                self._started = True
            case phases.STOPPING:
                self.interrupted = not self._started and not event["failed"]
                self._out.transient("Stopping...")
            case phases.STOPPED if not event["failed"]:
                self.interrupted = not self._started  # where nothing ran, there was no STOPPING
                self._out.done("Stopping server")

    def _show_service(self, event: daemon.ProgressEvent) -> None:
        name, phase = event["service"], event["state"]
        before = self._states.pop(name, "")  # so that the line names the latest service last
        self._states[name] = phase
        if phase == phases.RUNNING and before in _IN_DOUBT:
            self._out.line(f"{name} works again")
        elif phase == phases.RUNNING:
            self._out.done(f"Starting {name}")
        elif event["error"] and phase not in _IN_DOUBT:
            self._show_failure(event)
        awaited = [each for each, phase in self._states.items() if phase == phases.STARTING]
        if awaited and not (self._failure or self.interrupted):
            self._out.transient(f"Starting {', '.join(awaited)}...")

    def _show_failure(self, event: daemon.ProgressEvent) -> None:
        name, restarting = event["service"], event["state"] == phases.BACKOFF
        if self._started or restarting:
            self._out.line(f"{name} {event['error']}" + ("; restarting it" if restarting else ""))
        elif not self._failure:
            self._failure = event
            self._out.line(f"Starting {name}... {self._out.paint(self._out.mark('failed'), 'red')}")

    def require_started(self, ports: Ports) -> None:
        """Raise PortError if one of the `ports` was taken meanwhile, else StartError with a service's last lines."""
        if self._started or self.superseded or self.interrupted:
            return
        if not self._failure:
            raise StartError("the supervisor ended before all services ran", "run `stigmer server logs supervisor`")
        require_free(ports)
        from stigmer_launcher.cli.logtext import readable  # its regular expressions cost a start that succeeds

        event = self._failure
        if not event["log"]:
            raise StartError(f"{event['service']} {event['error']}", EXTERNAL_REMEDY)
        lines = "".join(f"\n    {readable(line)}" for line in event["lines"])
        said = f"the end of {event['log']}:{lines}" if lines else f"it printed nothing to {event['log']}"
        raise StartError(f"{event['service']} {event['error']}\n  {said}")
