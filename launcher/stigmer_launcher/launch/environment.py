"""The settings of a start (ports, Temporal's address), and the command line and environment of each service made from them.

The command line overrides the environment, the environment the file, the file the defaults.
A service inherits only the variables that the payload names. The launcher's own, above all those that PyInstaller sets
for it (LD_LIBRARY_PATH and the like), would make another frozen program load our libraries.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.config.llm import Llm
from stigmer_launcher.config.schema import ADDRESS, MANAGED, read_address, read_text
from stigmer_launcher.errors import ConfigError, KegError, UsageError
from stigmer_launcher.install.payload import Component, Payload
from stigmer_launcher.system.machine import binary_target, this_target

# Sources: PyInstaller's bootloader, dyld(1), ld.so(8), python(1).
_NEVER_INHERITED = ("LD_", "DYLD_", "PYTHON", "_PYI", "_MEI", "PYINSTALLER")
# The home as a path from the directory services run in: an absolute one could break what they parse, such as a URI.
HOME_RELATIVE = "."
_NAMESPACE = "TEMPORAL_NAMESPACE"
_VARIABLE = re.compile(r"\{(?:([^{}]*)\})?")
EXECUTION_NAMES = ("mode", "sandbox_image", "auto_pull", "cleanup", "ttl")


class ServiceCommand(NamedTuple):
    """A program ready to be started: absolute executable first, and the whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str]

    def __repr__(self) -> str:  # the environment may hold a key
        return f"ServiceCommand({' '.join(self.argv)}, with {len(self.env)} variables)"


def ports_of(payload: Payload, config: Config, asked: Mapping[str, int]) -> dict[str, int]:
    """Return the ports, the `asked` ones of the command line first. ConfigError for equal ones, UsageError for unknown ones."""
    defaults = {name: default for component in payload.components for name, default in component.ports}
    if unknown := [name for name in asked if name not in defaults]:
        raise UsageError(f"there is no port {unknown[0]}; there are {', '.join(defaults)}")
    ports: dict[str, int] = {}
    for name, default in defaults.items():
        configured = config.find(f"ports.{name}")
        number = asked.get(name) or (int(configured.value) if configured else default)
        if taken := next((other for other, used in ports.items() if used == number), ""):
            remedy = f"choose another one: `--port {name}=NUMBER`, or for good `stigmer config set ports.{name} NUMBER`"
            raise ConfigError(f"the ports {taken} and {name} are both {number}", remedy)
        ports[name] = number
    return ports


def external_address(components: Iterable[Component], config: Config, environ: Mapping[str, str]) -> str:
    """Return the address of an external Temporal, empty when Stigmer starts its own.

    The environment comes first. In the file, an address alone means an external one; `managed: true` overrides it.
    ConfigError for an invalid address, and for `managed: false` without one.
    """
    variable = next((component.external for component in components if component.external), "")
    if not variable:
        return ""
    if named := environ.get(variable, ""):
        return read_address(named, variable)
    address, setting = config.text(ADDRESS), config.find(MANAGED)
    managed = setting.value == "true" if setting else not address
    if not managed and not address:
        where, remedy = config.where(MANAGED), f"run `stigmer config set {ADDRESS} HOST:PORT`"
        raise ConfigError(f"{where}: managed is false, and there is no address", remedy)
    return "" if managed else address


def variables(
    home: str, ports: Mapping[str, int], external: str, llm: Llm, config: Config, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the value of every variable a payload may use; `external` is the address of an external Temporal, or empty.

    The user's TEMPORAL_NAMESPACE is for an external Temporal; ours has only the default namespace. `execution.…` is empty
    unless the file sets it: then the service's own default applies. ConfigError for a namespace that is not text.
    """
    execution = {name: f"backend.local.execution.{name}" for name in EXECUTION_NAMES}
    return {
        "home": home,
        "home.relative": HOME_RELATIVE,
        **{f"port.{name}": str(number) for name, number in ports.items()},
        "temporal.address": external or (f"127.0.0.1:{ports['temporal']}" if "temporal" in ports else ""),
        "temporal.namespace": (external and read_text(environ.get(_NAMESPACE, ""), _NAMESPACE)) or "default",
        **{f"llm.{name}": value for name, value in llm._asdict().items()},  # provider, model, base_url, api_key
        **{f"execution.{name}": config.text(key) if config.find(key) else "" for name, key in execution.items()},
    }


def executable_of(component: Component, directory: str, environ: Mapping[str, str]) -> str:
    """Return the executable that the component's override variable names, else its own; ConfigError when it cannot run."""
    if not (named := environ.get(component.override, "")):
        return os.path.join(directory, component.entry)
    if reason := _why_not_runnable(named):
        raise ConfigError(f"{component.override} names {named}, which {reason}", "correct the variable or unset it")
    return os.path.abspath(named)


def command_of(
    component: Component, directory: str, values: Mapping[str, str], names: Sequence[str], environ: Mapping[str, str]
) -> ServiceCommand:
    """Return a component's command: it inherits the variables `names`, and gets its own variables that are not empty."""
    arguments = (fill(argument, values, component) for argument in component.arguments)
    own = {name: fill(value, values, component) for name, value in component.environment}
    inherited = {name: environ[name] for name in names if name in environ and not name.startswith(_NEVER_INHERITED)}
    env = {**inherited, **{name: value for name, value in own.items() if value}}
    return ServiceCommand((executable_of(component, directory, environ), *arguments), env)


def _why_not_runnable(path: str) -> str:
    if not os.path.isfile(path):
        return "is no file" if os.path.exists(path) else "does not exist"
    if not os.access(path, os.X_OK):
        return "is not executable"
    if (target := binary_target(path)) not in ("", this_target()):
        return f"is built for {target}"
    return ""


def fill(text: str, values: Mapping[str, str], component: Component) -> str:
    """Replace `{NAME}` in a component's text by the variable's value; KegError when there is no such variable."""
    try:
        return _VARIABLE.sub(lambda found: values[found[1] or found[0]], text)
    except KeyError as error:
        raise KegError(f"{component.name} is started with {text!r}, and there is no variable {error}") from None
