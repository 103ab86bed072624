"""ELF files as the loader sees them.

They are read from the dynamic segment, which is all that the loader uses; section headers may be stripped or wrong.
Sources: the System V ABI's chapters on object files and dynamic linking, and the GNU extensions in glibc's elf.h.
"""

import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lief

from stigmer_packaging.binaries import elf_edit

MAGIC = b"\x7fELF"
ORIGIN = "$ORIGIN"
_MACHINES = {each.value: each.name for each in lief.ELF.ARCH}
_ARCHITECTURES = {"X86_64": "amd64", "AARCH64": "arm64"}
_BIG_ENDIAN = 2
_RELATIVE_RELOCATIONS = "GLIBC_ABI_DT_RELR"
_FIRST_WITH_RELR = (2, 36)

lief.logging.disable()  # it would print to the terminal what we report as findings
lief.disable_leak_warning()  # an interrupted run leaves objects behind


class Import(NamedTuple):
    """An undefined symbol with the `version` that it requires of a `library`, both empty if it has no version."""

    name: str
    version: str
    library: str
    weak: bool


@dataclass(frozen=True)
class Elf:
    """What one ELF file requires of the machine, and what it exports to other files.

    `interpreter` is empty for libraries and static programs. `rpath` and `runpath` are directories as stored. `glibc`
    is the lowest glibc version with all symbols it needs, `newest` the symbols that require that version. `private` is
    whether it uses GLIBC_PRIVATE symbols, which another build of glibc may lack. `exports` are names with versions.
    """

    architecture: str
    interpreter: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    glibc: tuple[int, ...]
    newest: tuple[str, ...]
    private: bool
    imports: tuple[Import, ...]
    exports: frozenset[tuple[str, str]]

    @property
    def search(self) -> tuple[str, ...]:
        """All directories in which it searches for libraries."""
        return (*self.rpath, *self.runpath)


def find_elves(root: Path) -> list[Path]:
    """Return the regular files below `root` that are ELF files, sorted."""
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in found if not path.is_symlink() and is_elf(_head(path)))


def is_elf(head: bytes) -> bool:
    """Return whether a file is an ELF file, judging by its first bytes."""
    return head[: len(MAGIC)] == MAGIC


def read_elf(content: bytes) -> Elf:
    """Read an ELF file; raise ValueError if it is truncated. Foreign architectures have lief's names."""
    binary = _parse(content)
    if binary is None or (_is_supported(binary) and _end(content) > len(content)):
        raise ValueError("truncated or damaged ELF file")
    needed = list(_needed_versions(binary))
    versions = {version for _, version, _ in needed}
    glibc = highest_glibc(versions)
    if _RELATIVE_RELOCATIONS in versions:
        glibc = max(glibc, _FIRST_WITH_RELR)
    symbols = [symbol for symbol in binary.dynamic_symbols if symbol.name]
    newest = {str(symbol.name) for symbol in symbols if glibc and highest_glibc([_version(symbol)]) == glibc}
    libraries = {number: library for number, _, library in needed}
    local = lief.ELF.Symbol.BINDING.LOCAL
    return Elf(
        architecture=_architecture(binary, content),
        interpreter=binary.interpreter if binary.has_interpreter else "",
        needed=tuple(str(name) for name in binary.libraries),
        rpath=tuple(_folders(binary, lief.ELF.DynamicEntryRpath, "rpath")),
        runpath=tuple(_folders(binary, lief.ELF.DynamicEntryRunPath, "runpath")),
        glibc=glibc,
        newest=tuple(sorted(newest)),
        private="GLIBC_PRIVATE" in versions,
        imports=tuple(_import(symbol, libraries) for symbol in symbols if not symbol.shndx),
        exports=frozenset((str(each.name), _version(each)) for each in symbols if each.shndx and each.binding != local),
    )


def highest_glibc(names: Iterable[str]) -> tuple[int, ...]:
    """Return the highest of symbol versions such as `GLIBC_2.17` as `(2, 17)`, or `()` if none is glibc's."""
    matches = (re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", name) for name in names)
    return max((tuple(map(int, match[1].split("."))) for match in matches if match), default=())


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(MAGIC))


def _parse(content: bytes) -> lief.ELF.Binary | None:
    config = lief.ELF.ParserConfig()
    config.parse_relocations = config.parse_notes = config.parse_symtab_symbols = config.parse_overlay = False
    return lief.ELF.parse(content, config)


def _is_supported(binary: lief.ELF.Binary) -> bool:
    """Whether it is 64-bit and little-endian, as on every platform of ours."""
    shipped = (lief.ELF.Header.CLASS.ELF64, lief.ELF.Header.ELF_DATA.LSB)
    return (binary.header.identity_class, binary.header.identity_data) == shipped


def _architecture(binary: lief.ELF.Binary, content: bytes) -> str:
    """Return the processor's name, or its number if lief does not know it.

    The number is read from the bytes: for an unknown one lief warns, and a warnings filter would affect all threads.
    """
    number = int.from_bytes(content[18:20], "big" if content[5] == _BIG_ENDIAN else "little")
    name = _MACHINES.get(number, str(number))
    return _ARCHITECTURES.get(name, name) if _is_supported(binary) else f"{name} (not 64-bit little-endian)"


def _end(content: bytes) -> int:
    """Return the size in bytes that a file has according to its headers; lief silently accepts a truncated file."""
    try:
        (sections,), (size, count) = struct.unpack_from("<Q", content, 40), struct.unpack_from("<2H", content, 58)
        end: int = sections + size * count
        return max(end, elf_edit.end_of_segments(content))
    except (struct.error, OverflowError) as error:
        raise ValueError("ELF file with truncated or invalid headers") from error


def _folders(binary: lief.ELF.Binary, kind: type[lief.ELF.DynamicEntry], attribute: str) -> Iterator[str]:
    for entry in binary.dynamic_entries:
        if isinstance(entry, kind):
            yield from str(getattr(entry, attribute)).split(":")


def _needed_versions(binary: lief.ELF.Binary) -> Iterator[tuple[int, str, str]]:
    """Yield each symbol version that a file needs: its number in the file, its name, and its library."""
    for requirement in binary.symbols_version_requirement:
        for auxiliary in requirement.get_auxiliary_symbols():
            yield auxiliary.other, str(auxiliary.name), str(requirement.name)


def _version(symbol: lief.ELF.Symbol) -> str:
    version = symbol.symbol_version
    auxiliary = version.symbol_version_auxiliary if version and version.has_auxiliary_version else None
    return str(auxiliary.name) if auxiliary else ""


def _import(symbol: lief.ELF.Symbol, libraries: dict[int, str]) -> Import:
    number = symbol.symbol_version.value & 0x7FFF if symbol.symbol_version else 0
    weak = symbol.binding == lief.ELF.Symbol.BINDING.WEAK
    return Import(str(symbol.name), _version(symbol), libraries.get(number, ""), weak)
