"""For which platform an executable was built, read from its first bytes."""

import struct
from pathlib import Path

from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.lib.target import Target

HEADER = 4096
# Source: the ELF specification (e_ident, e_machine) and Apple's mach-o/loader.h and mach-o/fat.h (magic, cputype).
_ELF_MACHINES = {62: "amd64", 183: "arm64"}
_MACHO_CPUS = {0x01000007: "amd64", 0x0100000C: "arm64"}
_MACHO, _FAT = 0xFEEDFACF, 0xCAFEBABE


def parse_platforms(header: bytes) -> tuple[Target, ...]:
    """Name the platforms of an executable's first bytes: one, several for a fat Mach-O, none for anything else."""
    if header[:4] == b"\x7fELF" and len(header) >= 20 and header[4:6] == b"\x02\x01":
        (machine,) = struct.unpack_from("<H", header, 18)
        return _targets("linux", [_ELF_MACHINES.get(machine)])
    if len(header) < 8:
        return ()
    (magic, cpu), (big, count) = struct.unpack_from("<II", header), struct.unpack_from(">II", header)
    if magic == _MACHO:
        return _targets("darwin", [_MACHO_CPUS.get(cpu)])
    if big == _FAT and len(header) >= 8 + 20 * count:
        cpus = [struct.unpack_from(">I", header, 8 + 20 * index)[0] for index in range(count)]
        return _targets("darwin", [_MACHO_CPUS.get(found) for found in cpus])
    return ()


def refuse_foreign(path: Path, target: Target) -> None:
    """Raise SourceError unless the file is an executable for `target`."""
    with path.open("rb") as stream:
        platforms = parse_platforms(stream.read(HEADER))
    if target not in platforms:
        found = " and ".join(map(str, platforms)) or "no platform known here"
        raise SourceError(f"{path.name} was asked for {target}, and is an executable for {found}")


def _targets(system: str, architectures: list[str | None]) -> tuple[Target, ...]:
    return tuple(Target(system, architecture) for architecture in architectures if architecture)
