"""Composes what others learn about a run: the snapshot for the state file, and the event of a service's change."""

from collections.abc import Mapping
from typing import Any

from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.supervise import lifecycle, phases
from stigmer_launcher.supervise.decide import is_degraded
from stigmer_launcher.supervise.logfile import LogFile
from stigmer_launcher.supervise.state import ServiceSnapshot, Snapshot


def compose_snapshot(
    launch: Launch,
    state: lifecycle.State,
    identities: Mapping[str, str],
    timeline: Mapping[str, Mapping[str, float]],
    supervisor: Snapshot,
) -> Snapshot:
    """Compose the snapshot of a run; `supervisor` holds what is known of the supervisor itself."""
    return supervisor._replace(
        state=phases.DEGRADED if is_degraded(state) else state.stage,
        version=launch.version,
        failed=state.failed,
        installed=launch.installed,
        token=launch.token,
        temporal=launch.temporal,
        logs=launch.logs,
        job=launch.job,
        ports=launch.ports,
        asked_ports=launch.asked_ports,
        timeline={name: dict(times) for name, times in timeline.items()},
        services=tuple(_service(launch, each, identities) for each in state.services),
    )


def _service(launch: Launch, service: lifecycle.Service, identities: Mapping[str, str]) -> ServiceSnapshot:
    plan = service.plan
    launched = launch.service(plan.name)
    return ServiceSnapshot(
        name=plan.name,
        state=service.phase,
        managed=plan.managed,
        pid=service.pid,
        identity=identities.get(plan.name, ""),
        stop_order=plan.stop_order,
        grace=plan.grace,
        since=service.since,
        restarts=service.restarts,
        last_error=service.error,
        lacking=service.not_ready_reason,
        port=launched.port,
        version=launched.version,
    )


def describe_change(service: lifecycle.Service, log: LogFile) -> dict[str, Any]:
    """Return the event for a service's change of phase, with its last lines if it went down."""
    hangs = service.phase == phases.DEGRADED
    lines = [line.decode(errors="replace") for line in log.last] if service.error and not hangs else []
    return {
        "event": "service",
        "service": service.plan.name,
        "state": service.phase,
        "pid": service.pid,
        "error": f"does not answer: {service.not_ready_reason}" if hangs else service.error,
        "lines": lines,
        "log": log.path,
    }
