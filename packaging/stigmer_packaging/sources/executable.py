"""For which platforms an executable was built, as its own headers say."""

from pathlib import Path

from stigmer_packaging.binaries import elf, macho
from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.lib.target import Target


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
