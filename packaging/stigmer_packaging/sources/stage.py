"""Obtains a component that is one executable, built or downloaded, and checks that its headers match the target."""

from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.binaries import elf, macho
from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Component
from stigmer_packaging.records.model import BuiltPart
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.sources import Source, contract


def obtain_component(
    component: Component, target: Target, source: Source, *, workspace: Workspace, env: Mapping[str, str] | None = None
) -> BuiltPart:
    """Obtain a component's executable for one target.

    The executable has the component's name. SourceError if it is for another platform. `env` is the environment of
    programs that run here, None if this one cannot: GateError if it does not report a missing required variable.
    """
    record = f"obtain/{target}/{component.name}"
    with workspace.staging() as staging:
        folder = staging / component.name
        folder.mkdir()
        source.fetch(folder / component.name)
        refuse_foreign(folder / component.name, target)
        if env is not None and component.required:
            environment, home = component.run.environment, staging / "home"
            home.mkdir()
            contract.check_refusals(folder / component.name, environment, component.required, folder=home, env=env)
        facts = {"version": component.version, "target": str(target), "entry": component.name}
        return workspace.add_part(folder, record, component=component.name, **facts)


def find_platforms(content: bytes) -> tuple[Target, ...]:
    """Return the platforms of an executable: one, several for a fat Mach-O, none if it is something else or damaged."""
    try:
        if elf.is_elf(content):
            return (Target("linux", elf.read_elf(content).architecture),)
        slices = macho.read_machos(content) if macho.is_macho(content[:8]) else ()
    except (ValueError, SystemError):  # lief raises the latter for an unknown header
        return ()
    return tuple(Target("darwin", each.architecture) for each in slices)


def refuse_foreign(path: Path, target: Target) -> None:
    """Raise SourceError unless the file is an executable for `target`."""
    platforms = find_platforms(path.read_bytes())
    if target not in platforms:
        found = " and ".join(map(str, platforms)) or "no known platform"
        raise SourceError(f"{path.name} should be an executable for {target}, but is one for {found}")
