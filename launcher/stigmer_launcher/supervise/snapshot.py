"""The instance's state as `status`, `doctor` and the next start read it: plain values, composed purely.

Times called `since` and in `timeline` are seconds of the monotonic clock, which all processes of one boot share; `started`
is for people.
"""

from collections.abc import Mapping
from typing import Any

from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.supervise import lifecycle, phases
from stigmer_launcher.supervise.decide import is_degraded
from stigmer_launcher.supervise.logfile import LogFile


def compose_state(
    launch: Launch,
    state: lifecycle.State,
    identities: Mapping[str, str],
    timeline: Mapping[str, Mapping[str, float]],
    **supervisor: object,
) -> dict[str, Any]:
    """Give the state of a run; `supervisor` holds its pid, identity and start."""
    return {
        **supervisor,
        "state": phases.DEGRADED if is_degraded(state) else state.stage,
        "version": launch.version,
        "failed": state.failed,
        "installed": launch.installed,
        "token": launch.token,
        "ports": dict(launch.ports),
        "temporal": launch.temporal,
        "logs": launch.logs,
        "timeline": {name: dict(times) for name, times in timeline.items()},
        "services": [_service(launch, each, identities) for each in state.services],
    }


def _service(launch: Launch, service: lifecycle.Service, identities: Mapping[str, str]) -> dict[str, Any]:
    name = service.plan.name
    planned = launch.service(name)
    return {
        "name": name,
        "state": service.phase,
        "managed": service.plan.managed,
        "pid": service.pid,
        "identity": identities.get(name, ""),
        "stop_order": service.plan.stop_order,
        "grace": service.plan.grace,
        "since": service.since,
        "restarts": service.restarts,
        "last_error": service.error,
        "lacking": service.not_ready_reason,
        "port": planned.port,
        "version": planned.version,
    }


def describe_change(service: lifecycle.Service, log: LogFile) -> dict[str, Any]:
    """Tell of one service's change of phase; one that went down, with its last lines."""
    lines = [line.decode(errors="replace") for line in log.last] if service.error else []
    return {
        "event": "service",
        "service": service.plan.name,
        "state": service.phase,
        "pid": service.pid,
        "error": service.error,
        "lines": lines,
        "log": log.path,
    }
