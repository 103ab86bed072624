"""Executable, arguments and environment of a service. The environment holds nothing that is not listed.

Nothing of the user's environment gets through but what the payload names. The launcher's own, above all what
PyInstaller sets for it (LD_LIBRARY_PATH and the like), would make another frozen program load our libraries. Pure but
for looking whether an executable is there.
"""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stigmer_launcher.config.file import Config
from stigmer_launcher.config.llm import Llm
from stigmer_launcher.errors import KegError, OverrideError
from stigmer_launcher.install.payload import Component
from stigmer_launcher.system.machine import binary_target, this_target

# Sources: PyInstaller's bootloader, dyld(1), ld.so(8), python(1).
_NEVER = ("LD_", "DYLD_", "PYTHON", "_PYI", "_MEI", "PYINSTALLER")
# The home as services see it, because they run in it: for what they parse and a path could break, such as a URI.
HERE = "."
_EXECUTION = "backend.local.execution"
EXECUTION = ("mode", "sandbox_image", "auto_pull", "cleanup", "ttl")


class Command(NamedTuple):
    """A program ready to be started: absolute executable first, and the whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str]

    def __repr__(self) -> str:  # the environment may hold a key
        return f"Command({' '.join(self.argv)}, with {len(self.env)} variables)"


def variables(
    home: str, ports: Mapping[str, int], temporal: str, namespace: str, llm: Llm, config: Config
) -> dict[str, str]:
    """Return the value of every variable a payload may use; `temporal` is an address, empty for the one we start.

    `execution.…` has a value only where the file says so: a service's own default is as good as ours.
    """
    said = {name: f"{_EXECUTION}.{name}" for name in EXECUTION}
    return {
        "home": home,
        "home.relative": HERE,
        **{f"port.{name}": str(number) for name, number in ports.items()},
        "temporal.address": temporal or f"127.0.0.1:{ports.get('temporal', 0)}",
        "temporal.namespace": namespace,
        "llm.provider": llm.provider,
        "llm.model": llm.model,
        "llm.base_url": llm.base_url,
        "llm.api_key": llm.api_key,
        **{f"execution.{name}": config.text(key) if config.find(key) else "" for name, key in said.items()},
    }


def executable_of(component: Component, directory: str, environ: Mapping[str, str]) -> str:
    """Return the executable: a developer's, when the component's variable names one, else the one in `directory`.

    OverrideError when that one cannot be run; the component is not used instead.
    """
    named = environ.get(component.override, "") if component.override else ""
    if not named:
        return os.path.join(directory, component.entry)
    if found := _objection(named):
        raise OverrideError(f"{component.override} names {named}, which {found}")
    return os.path.abspath(named)


def command_of(
    component: Component, directory: str, values: Mapping[str, str], names: Sequence[str], environ: Mapping[str, str]
) -> Command:
    """Join executable, arguments and environment; `names` are what a service may see of the user's environment.

    A variable of the component that comes out empty is not set.
    """
    arguments = (_fill(argument, values, component) for argument in component.arguments)
    own = {name: _fill(value, values, component) for name, value in component.environment}
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


def _fill(text: str, values: Mapping[str, str], component: Component) -> str:
    first, *rest = text.split("{")
    for part in rest:
        name, brace, after = part.partition("}")
        if not brace or name not in values:
            raise KegError(f"{component.name} is started with {text!r}, and there is no variable {{{name}}}")
        first += values[name] + after
    return first
