"""The service definitions in a bottle: a systemd unit on Linux, a launchd agent on macOS.

If the formula's `service` block has only a name, `brew services` uses the file of that name in the keg. The unit that
brew generates has no KillMode, so systemd would stop all processes at once, in no order. Sources: systemd.service(5),
systemd.kill(5), launchd.plist(5), and Homebrew's `Services::FormulaWrapper#service_contents`.
"""

import plistlib
from collections.abc import Iterable
from pathlib import Path
from string import Template

from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Component, Manifest, Product
from stigmer_packaging.manifest.naming import service_names

_MARGIN = 20
"""Seconds that the supervisor may take to stop, in addition to the grace periods of its services."""

_PREFIX = "@@HOMEBREW_PREFIX@@"
_UNIT = Path(__file__).parent / "templates" / "service" / "systemd.service"
_SESSIONS = ["Aqua", "Background", "LoginWindow", "StandardIO", "System"]
"""The session types of brew's own agents, so that a service started over SSH survives a login at the screen."""


def render_service(manifest: Manifest, target: Target) -> str:
    """Return the service definition for a target, with brew's placeholder for its prefix, which pouring replaces."""
    seconds = stop_seconds(manifest.components)
    if target.system == "darwin":
        return _render_agent(manifest.product.name, seconds)
    return _render_unit(manifest.product, seconds)


def stop_seconds(components: Iterable[Component]) -> int:
    """Return the time in which all services should have stopped; after it, the service manager kills the rest."""
    longest: dict[int, int] = {}
    for run in (component.run for component in components):
        longest[run.stop_order] = max(run.grace, longest.get(run.stop_order, 0))
    return sum(longest.values()) + _MARGIN


def _render_unit(product: Product, seconds: int) -> str:
    return Template(_UNIT.read_text(encoding="utf-8")).substitute(
        name=product.name,
        description=_one_line(product.description),
        homepage=_one_line(product.homepage),
        stop_seconds=seconds,
    )


def _one_line(text: str) -> str:
    """Collapse a value to one line, and escape `%`, which systemd would expand as a specifier."""
    return " ".join(text.replace("%", "%%").split()).rstrip("\\")


def _render_agent(name: str, seconds: int) -> str:
    agent = {
        "Label": service_names(name).macos,
        "ProgramArguments": [f"{_PREFIX}/opt/{name}/bin/{name}", "server", "--foreground"],
        "EnvironmentVariables": {"PATH": f"{_PREFIX}/bin:{_PREFIX}/sbin:/usr/bin:/bin:/usr/sbin:/sbin"},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},  # neither after `server stop` nor if a server already runs
        "ThrottleInterval": 10,
        "ExitTimeOut": seconds,
        "LimitLoadToSessionType": _SESSIONS,
    }
    return plistlib.dumps(agent, sort_keys=False).decode()
