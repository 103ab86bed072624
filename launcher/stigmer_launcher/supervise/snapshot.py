"""Composes what others learn about a run: the snapshot for the state file, and the event of a service's change."""

from collections.abc import Mapping
from typing import Any

from stigmer_launcher.launch.plan import Launch, ServiceLaunch
from stigmer_launcher.supervise import lifecycle, phases
from stigmer_launcher.supervise.logfile import LogFile
from stigmer_launcher.supervise.state import Member, ServiceSnapshot, Snapshot


def compose_snapshot(
    launch: Launch,
    state: lifecycle.State,
    members: Mapping[str, Member],
    timeline: Mapping[str, Mapping[str, float]],
    supervisor: Snapshot,
) -> Snapshot:
    """Compose the snapshot of a run; `supervisor` holds what is known of the supervisor itself."""
    return supervisor._replace(
        state=phases.DEGRADED if state.is_degraded else state.stage,
        version=launch.version,
        failed=state.failed,
        installed=launch.installed,
        token=launch.token,
        temporal=launch.temporal,
        logs=launch.places.logs,
        job=launch.job,
        ports=launch.ports,
        asked_ports=launch.asked_ports,
        timeline={name: dict(times) for name, times in timeline.items()},
        services=tuple(_service(each, state.services[name], members) for name, each in launch.services.items()),
    )


def _service(launched: ServiceLaunch, service: lifecycle.Service, members: Mapping[str, Member]) -> ServiceSnapshot:
    plan = service.plan
    member = members.get(plan.name)
    return ServiceSnapshot(
        name=plan.name,
        state=service.phase,
        managed=plan.managed,
        pid=member.pid if member else 0,
        identity=member.identity if member else "",
        stop_order=plan.stop_order,
        grace=plan.grace,
        since=service.since,
        restarts=service.restarts,
        last_error=service.error,
        lacking=service.lacking,
        port=launched.port,
        version=launched.version,
    )


def describe_change(service: ServiceSnapshot, log: LogFile) -> dict[str, Any]:
    """Return the event for a service's change, with its last lines if it went down."""
    hangs = service.state == phases.DEGRADED
    lines = [line.decode(errors="replace") for line in log.last] if service.last_error and not hangs else []
    return {
        "event": "service",
        "service": service.name,
        "state": service.state,
        "pid": service.pid,
        "error": f"does not answer: {service.lacking}" if hangs else service.last_error,
        "lines": lines,
        "log": log.path,
    }
