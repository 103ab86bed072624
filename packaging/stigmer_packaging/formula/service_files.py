"""The service definitions that a bottle brings: a systemd unit on Linux, a launchd agent on macOS.

`brew services` takes a file of the keg as it is when the formula's `service` block gives only its name. The unit that
brew would write has no KillMode: systemd then ends all processes at once, in no order. Sources: systemd.service(5),
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
"""Seconds that the supervisor may take to stop, besides the grace periods of its services."""

_PREFIX = "@@HOMEBREW_PREFIX@@"
_UNIT = Path(__file__).parent / "templates" / "service" / "systemd.service"
_SESSIONS = ["Aqua", "Background", "LoginWindow", "StandardIO", "System"]
"""The sessions that brew names in its own agents, so that one started over SSH survives a login at the screen."""


def render_service(manifest: Manifest, target: Target) -> str:
    """Give the target's definition, with brew's placeholder for its prefix, which pouring replaces."""
    seconds = stop_seconds(manifest.components)
    if target.system == "darwin":
        return _render_agent(manifest.product.name, seconds)
    return _render_unit(manifest.product, seconds)


def stop_seconds(components: Iterable[Component]) -> int:
    """Give the time in which all services can have stopped; what still runs then is killed by the service manager."""
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
    """Keep a value within its line, and `%` from being read as a specifier."""
    return " ".join(text.replace("%", "%%").split()).rstrip("\\")


def _render_agent(name: str, seconds: int) -> str:
    agent = {
        "Label": service_names(name).macos,
        "ProgramArguments": [f"{_PREFIX}/opt/{name}/bin/{name}", "server", "--foreground"],
        "EnvironmentVariables": {"PATH": f"{_PREFIX}/bin:{_PREFIX}/sbin:/usr/bin:/bin:/usr/sbin:/sbin"},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},  # not after `server stop`, and not beside a server that runs already
        "ThrottleInterval": 10,
        "ExitTimeOut": seconds,
        "LimitLoadToSessionType": _SESSIONS,
    }
    return plistlib.dumps(agent, sort_keys=False).decode()
