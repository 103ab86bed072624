"""Obtain a component that is one executable: built, or fetched, and made for its target, as its own headers say."""

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

    The executable has the component's name. SourceError when the source gives another platform's executable, GateError
    when, where it can run (`env` is what programs here may see), it does not ask for what it needs.
    """
    record = f"obtain/{target}/{component.name}"
    with workspace.staging() as staged:
        folder = staged / component.name
        folder.mkdir()
        source.fetch(folder / component.name)
        refuse_foreign(folder / component.name, target)
        if env is not None and component.required:
            sent, home = component.run.environment, staged / "home"
            home.mkdir()
            contract.check_refusals(folder / component.name, sent, component.required, folder=home, env=env)
        facts = {"version": component.version, "target": str(target), "entry": component.name}
        return workspace.add_part(folder, record, component=component.name, **facts)


def find_platforms(content: bytes) -> tuple[Target, ...]:
    """Name the platforms of an executable: one, several for a fat Mach-O, none for anything else, or what is not whole."""
    try:
        if elf.is_elf(content):
            return (Target("linux", elf.read_elf(content).architecture),)
        found = macho.read_machos(content) if macho.is_macho(content[:8]) else ()
    except (ValueError, SystemError):  # lief answers so for a header that it does not know
        return ()
    return tuple(Target("darwin", each.architecture) for each in found)


def refuse_foreign(path: Path, target: Target) -> None:
    """Raise SourceError unless the file is an executable for `target`."""
    platforms = find_platforms(path.read_bytes())
    if target not in platforms:
        found = " and ".join(map(str, platforms)) or "no platform known here"
        raise SourceError(f"{path.name} was asked for {target}, and is an executable for {found}")
