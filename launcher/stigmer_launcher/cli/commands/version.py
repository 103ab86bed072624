"""Versions: the launcher's own, the components', and whether what runs is what is installed."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, columns
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.supervise.state import Instance, Snapshot, living_snapshot
from stigmer_launcher.system.places import find_places, installed_libexec
from stigmer_launcher.system.service_manager import command_for
from stigmer_launcher.version import NAME, VERSION

if TYPE_CHECKING:
    from stigmer_launcher.install.payload import Payload


def version(invocation: Invocation, context: Context) -> int:
    """Print the version of Stigmer, of each component, and of what runs."""
    payload = _payload(context.environ)
    snapshot = living_snapshot(Instance(find_places(context.environ).run))
    running = snapshot.version
    components = {part.name: part.version for part in payload.components} if payload else {}
    installed = installed_version(context.environ)
    if invocation.has("json"):
        import json

        context.out.line(json.dumps({"version": installed, "running": running, "components": components}))
        return 0
    context.out.line(f"{NAME} {installed}")
    for line in columns(components.items()):
        context.out.line(line)
    if hint := version_mismatch(snapshot, context.environ):
        context.out.line(hint)
    return 0


def installed_version(environ: Mapping[str, str]) -> str:
    """Return the version of the keg this launcher belongs to."""
    if getattr(sys, "frozen", False):
        return VERSION
    payload = _payload(environ)
    return payload.version if payload else VERSION


def version_mismatch(snapshot: Snapshot, environ: Mapping[str, str]) -> str:
    """Say that another version runs than is installed; nothing when they are the same, or nothing runs."""
    running, installed = snapshot.version, installed_version(environ)
    if running in ("", installed):
        return ""
    command = command_for("restart", snapshot.supervisor_pid, snapshot.job)
    return f"{running} is running, {installed} is installed: `{command}`"


def _payload(environ: Mapping[str, str]) -> "Payload | None":
    try:
        libexec = installed_libexec(environ)
        from stigmer_launcher.install.manifest import read_keg

        return read_keg(libexec).payload
    except LauncherError:
        return None
