"""What a service is told: ports, whose Temporal, and its executable, arguments and environment, which hold nothing else.

The command line overrules the environment, the environment the file, the file the defaults.
Nothing of the user's environment gets through but what the payload names. The launcher's own, above all what
PyInstaller sets for it (LD_LIBRARY_PATH and the like), would make another frozen program load our libraries.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.config.llm import Llm
from stigmer_launcher.config.schema import address as read_address
from stigmer_launcher.errors import ConfigError, KegError, UsageError
from stigmer_launcher.install.payload import Component, Payload
from stigmer_launcher.system.machine import binary_target, this_target

# Sources: PyInstaller's bootloader, dyld(1), ld.so(8), python(1).
_NEVER = ("LD_", "DYLD_", "PYTHON", "_PYI", "_MEI", "PYINSTALLER")
# The home as services see it, because they run in it: for what they parse and a path could break, such as a URI.
HERE = "."
_MANAGED, _ADDRESS = "backend.local.temporal.managed", "backend.local.temporal.address"
_EXECUTION = "backend.local.execution"
_VARIABLE = re.compile(r"\{(?:([^{}]*)\})?")
EXECUTION = ("mode", "sandbox_image", "auto_pull", "cleanup", "ttl")


class Command(NamedTuple):
    """A program ready to be started: absolute executable first, and the whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str]

    def __repr__(self) -> str:  # the environment may hold a key
        return f"Command({' '.join(self.argv)}, with {len(self.env)} variables)"


def ports_of(payload: Payload, config: Config, chosen: Mapping[str, int]) -> dict[str, int]:
    """Return the ports; `chosen` are the command line's. ConfigError for equal ones, UsageError for an unknown one."""
    defaults = {name: default for component in payload.components for name, default in component.ports}
    if unknown := [name for name in chosen if name not in defaults]:
        raise UsageError(f"there is no port {unknown[0]}; there are {', '.join(defaults)}")
    ports: dict[str, int] = {}
    for name, default in defaults.items():
        filed = config.find(f"ports.{name}")
        number = chosen.get(name) or (int(filed.value) if filed else default)
        if taken := next((other for other, used in ports.items() if used == number), ""):
            remedy = f"choose another one: `stigmer config set ports.{name} NUMBER`"
            raise ConfigError(f"the ports {taken} and {name} are both {number}", remedy)
        ports[name] = number
    return ports


def external_address(components: Iterable[Component], config: Config, environ: Mapping[str, str]) -> str:
    """Return the address of somebody else's Temporal when it is to be used instead of a component, else nothing.

    The environment decides first. In the file an address alone means somebody else's; `managed: true` overrules it, and
    a `temporal:` that says neither means ours, to be started and stopped by us.
    """
    variable = next((component.external for component in components if component.external), "")
    if not variable:
        return ""
    if named := environ.get(variable, ""):
        return read_address(named, variable)
    found, said = config.text(_ADDRESS), config.find(_MANAGED)
    managed = said.value == "true" if said else not found
    if not managed and not found:
        where, remedy = config.where(_MANAGED), f"run `stigmer config set {_ADDRESS} HOST:PORT`"
        raise ConfigError(f"{where}: managed is false, and there is no address", remedy)
    return "" if managed else found


def variables(
    home: str, ports: Mapping[str, int], external: str, llm: Llm, config: Config, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the value of every variable a payload may use; `external` is the address of a Temporal that is not ours.

    The user's variable names a namespace of that one; ours has its default alone. `execution.…` has a value only if the
    file says so: a service's own default is as good as ours.
    """
    said = {name: f"{_EXECUTION}.{name}" for name in EXECUTION}
    return {
        "home": home,
        "home.relative": HERE,
        **{f"port.{name}": str(number) for name, number in ports.items()},
        "temporal.address": external or f"127.0.0.1:{ports.get('temporal', 0)}",
        "temporal.namespace": (environ.get("TEMPORAL_NAMESPACE") if external else "") or "default",
        "llm.provider": llm.provider,
        "llm.model": llm.model,
        "llm.base_url": llm.base_url,
        "llm.api_key": llm.api_key,
        **{f"execution.{name}": config.text(key) if config.find(key) else "" for name, key in said.items()},
    }


def executable_of(component: Component, directory: str, environ: Mapping[str, str]) -> str:
    """Return the executable that the user's variable names, else ours; ConfigError when the user's cannot be run."""
    named = environ.get(component.override, "") if component.override else ""
    if not named:
        return os.path.join(directory, component.entry)
    if found := _objection(named):
        raise ConfigError(f"{component.override} names {named}, which {found}", "correct the variable or unset it")
    return os.path.abspath(named)


def command_of(
    component: Component, directory: str, values: Mapping[str, str], names: Sequence[str], environ: Mapping[str, str]
) -> Command:
    """Join executable, arguments and environment: of the user's the `names`, of the component's what is not empty."""
    arguments = (fill(argument, values, component) for argument in component.arguments)
    own = {name: fill(value, values, component) for name, value in component.environment}
    inherited = {name: environ[name] for name in names if name in environ and not name.startswith(_NEVER)}
    env = {**inherited, **{name: value for name, value in own.items() if value}}
    return Command((executable_of(component, directory, environ), *arguments), env)


def _objection(path: str) -> str:
    if not os.path.isfile(path):
        return "is no file" if os.path.exists(path) else "does not exist"
    if not os.access(path, os.X_OK):
        return "is not executable"
    if (target := binary_target(path)) not in ("", this_target()):
        return f"is built for {target}"
    return ""


def fill(text: str, values: Mapping[str, str], component: Component) -> str:
    """Put the values of its variables into a text of a component; KegError for a variable that does not exist."""
    try:
        return _VARIABLE.sub(lambda found: values[found[1] or found[0]], text)
    except KeyError as error:
        raise KegError(f"{component.name} is started with {text!r}, and there is no variable {error}") from None
