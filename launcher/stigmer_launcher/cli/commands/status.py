"""`stigmer server status`: the state of the server and of each service, for people and for programs."""

import time
from collections.abc import Iterator
from typing import Any

from stigmer_launcher.cli.commands.version import installed_version, mention_mismatch
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, Terminal, columns, duration
from stigmer_launcher.errors import DegradedError, StoppedError
from stigmer_launcher.supervise import phases, state
from stigmer_launcher.system import service_manager
from stigmer_launcher.system.places import find_places

_CODES = {phases.RUNNING: 0, phases.STOPPED: StoppedError.exit_code}
_COLOURS = {phases.RUNNING: "green", phases.DEGRADED: "yellow", phases.STOPPED: "red"}
_ADVICE = {
    phases.CLEANING: "its supervisor was killed; `stigmer server` waits for its watchdog, then starts the server again",
    phases.STOPPED: "start it with `stigmer server`",
}
_ISO = "%Y-%m-%dT%H:%M:%SZ"
_FIELDS = ("name", "state", "pid", "restarts", "last_error", "port", "version")


def status(invocation: Invocation, context: Context) -> int:
    """Print the state of every service; exit code 0 when all run, 3 when stopped, 4 when some are missing."""
    places = find_places(context.environ)
    instance = state.Instance(places.run)
    pid = state.supervisor_pid(instance)
    snapshot = state.living_snapshot(instance)
    cleaning = 0 if pid else state.cleaning_pid(instance)
    stage = snapshot.state or (phases.STARTING if pid else phases.CLEANING if cleaning else phases.STOPPED)
    last = snapshot if snapshot.supervisor_pid else state.read_snapshot(instance)
    if invocation.has("json"):
        import json

        report = describe(last, stage, pid, time.monotonic())
        report["installed_version"] = installed_version(context.environ)
        context.out.line(json.dumps(report, indent=2))
    else:
        show(context.out, snapshot, stage, pid or cleaning, places.logs)
        if stage == phases.STOPPED and (left := [each.name for each in last.processes if _is_alive(each)]):
            context.out.line(f"  services of a killed server still run: {', '.join(left)}; `stigmer server` ends them")
        mention_mismatch(snapshot, context)
    return _CODES.get(stage, DegradedError.exit_code)


def describe(snapshot: state.Snapshot, stage: str, pid: int, now: float) -> dict[str, Any]:
    """Return the state for JSON; `pid` is the supervisor's, 0 when none runs, `now` the monotonic time."""
    return {
        "state": stage,
        "version": snapshot.version if pid else "",
        "supervisor_pid": pid,
        "started": time.strftime(_ISO, time.gmtime(snapshot.started)) if pid and snapshot.supervisor_pid else "",
        "services": [_describe_service(each, stage, now) for each in snapshot.services],
        "ports": snapshot.ports,
        "temporal": snapshot.temporal,
        "timeline": snapshot.timeline,
        "logs": snapshot.logs,
    }


def _describe_service(service: state.ServiceSnapshot, stage: str, now: float) -> dict[str, Any]:
    """Return a service for JSON; one that has ended has no pid and no uptime."""
    if stage == phases.CLEANING:
        service = service._replace(state=stage)
    if stage in (phases.CLEANING, phases.STOPPED) and not (service.pid and _is_alive(service)):
        service = service._replace(state=phases.STOPPED, pid=0)
    uptime = round(now - service.since, 1) if service.pid else 0
    return {**{key: getattr(service, key) for key in _FIELDS}, "uptime": uptime}


def _is_alive(service: state.ServiceSnapshot) -> bool:
    from stigmer_launcher.supervise import leftovers  # whose `signal` costs a stopped status a tenth of its time

    return leftovers.is_alive(service)


def show(out: Terminal, snapshot: state.Snapshot, stage: str, pid: int, logs: str) -> None:
    """Print the state for people."""
    heading = f"Stigmer {snapshot.version} is" if snapshot.supervisor_pid else "Stigmer is"
    process_name = "watchdog" if stage == phases.CLEANING else "supervisor"
    out.line(f"{heading} {out.paint(stage, _COLOURS.get(stage, 'bold'))}" + (f" ({process_name} {pid})" if pid else ""))
    if stage in _ADVICE:
        out.line(f"  {_ADVICE[stage]}")
        return
    now = time.monotonic()
    heads = ("SERVICE", "STATE", "PID", "UPTIME", "RESTARTS", "PORT", "VERSION")
    services = columns((heads, *(_row(each, now) for each in snapshot.services)))
    failures = [(each.name, each.not_ready_reason or each.last_error) for each in snapshot.services]
    rows = [*addresses(snapshot), ("logs", logs)]
    if unit := service_manager.find_unit(snapshot.supervisor_pid, snapshot.job):  # it would start the server again
        rows.append(("unit", f"{unit.name}: stop it with `{unit.command('stop')}`"))
    out.line("\n".join((*services, *(f"  {name}: {why}" for name, why in failures if why), *columns(rows))))


def addresses(snapshot: state.Snapshot) -> Iterator[tuple[str, str]]:
    """Yield name and address of every port, and of an external Temporal."""
    if snapshot.temporal and "temporal" not in snapshot.ports:
        yield "temporal", f"{snapshot.temporal} (external)"
    for name, number in snapshot.ports.items():
        yield name, f"http://localhost:{number}" if name.endswith("-ui") else f"localhost:{number}"


def _row(service: state.ServiceSnapshot, now: float) -> tuple[str, ...]:
    phase = service.state if service.managed else f"{service.state} (external)"
    pid, port = str(service.pid or "-"), str(service.port or "-")
    uptime = duration(now - service.since) if service.pid else "-"
    return service.name, phase, pid, uptime, str(service.restarts), port, service.version
