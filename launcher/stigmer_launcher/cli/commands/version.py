"""`stigmer version`: the versions of Stigmer and of its components, and whether the running version is another."""

import sys
from collections.abc import Mapping

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, columns
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.supervise import state
from stigmer_launcher.system import service_manager
from stigmer_launcher.system.places import find_places, installed_libexec
from stigmer_launcher.version import NAME, VERSION


def version(invocation: Invocation, context: Context) -> int:
    """Print the version of Stigmer, of each component, and of the running server if it is another."""
    snapshot = state.living_snapshot(state.Instance(find_places(context.environ).run))
    installed = installed_version(context.environ)
    _, components = _read_keg(context.environ)
    if invocation.has("json"):
        import json

        context.out.line(json.dumps({"version": installed, "running": snapshot.version, "components": components}))
    else:
        context.out.line("\n".join((f"{NAME} {installed}", *columns(components.items()))))
        mention_mismatch(snapshot, context)
    return 0


def installed_version(environ: Mapping[str, str]) -> str:
    """Return the installed version; a frozen launcher has it built in, another reads its keg."""
    return VERSION if getattr(sys, "frozen", False) else _read_keg(environ)[0]


def mention_mismatch(snapshot: state.Snapshot, context: Context) -> None:
    """Print a note when the running version is not the installed one."""
    running, installed = snapshot.version, installed_version(context.environ)
    if running not in ("", installed):
        command = service_manager.command_for("restart", snapshot.supervisor_pid, snapshot.job)
        context.out.line(f"{running} is running, {installed} is installed: `{command}`")


def _read_keg(environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the version of the keg and those of its components; the launcher's own alone when the keg cannot be read."""
    try:
        libexec = installed_libexec(environ)
        from stigmer_launcher.install.payload import read_keg

        payload = read_keg(libexec).payload
    except LauncherError:
        return VERSION, {}
    return payload.version, {part.name: part.version for part in payload.components}
