"""ELF files as the loader sees them: read from the dynamic segment, which alone decides at run time.

Section headers, which tools.elf edits by, may be stripped or wrong without a program's being the worse for it; who
judges a finished file reads what the loader reads. Sources: the System V ABI, and symbol versions as glibc has them.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import lief

from stigmer_packaging.tools.elf import MAGIC, Glibc, highest_glibc

_ARCHITECTURES = {"X86_64": "amd64", "AARCH64": "arm64"}
_RELATIVE_RELOCATIONS = "GLIBC_ABI_DT_RELR"
_FIRST_WITH_THEM = (2, 36)

lief.logging.disable()  # it would write to the terminal what we say in findings


@dataclass(frozen=True)
class ElfImage:
    """What one ELF file asks of the machine it runs on.

    `interpreter` is empty for libraries and static programs; `search` are the folders of RPATH and RUNPATH as written;
    `glibc`, the lowest glibc with all symbols it needs; `symbols`, those that need just that one; `private`, whether it
    uses what glibc keeps to itself, which no other build of it need have.
    """

    architecture: str
    interpreter: str
    needed: tuple[str, ...]
    search: tuple[str, ...]
    glibc: Glibc
    symbols: tuple[str, ...]
    private: bool


def is_elf(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is an ELF file."""
    return head[: len(MAGIC)] == MAGIC


def read_elf_image(content: bytes) -> ElfImage:
    """Read an ELF file; raise ValueError when it is not whole. A foreign machine is named as lief names it."""
    config = lief.ELF.ParserConfig()
    config.parse_relocations = config.parse_notes = config.parse_symtab_symbols = config.parse_overlay = False
    binary = lief.ELF.parse(content, config)
    if binary is None or (_is_ours(binary) and _end(content) > len(content)):
        raise ValueError("an ELF file that is not whole")
    versions = tuple(_versions(binary))
    glibc = highest_glibc(versions)
    if _RELATIVE_RELOCATIONS in versions:
        glibc = max(glibc, _FIRST_WITH_THEM)
    return ElfImage(
        architecture=_architecture(binary),
        interpreter=binary.interpreter if binary.has_interpreter else "",
        needed=tuple(str(name) for name in binary.libraries),
        search=tuple(folder for text in _searches(binary) for folder in text.split(":")),
        glibc=glibc,
        symbols=tuple(sorted(_symbols(binary, glibc))),
        private="GLIBC_PRIVATE" in versions,
    )


def _is_ours(binary: lief.ELF.Binary) -> bool:
    """Whether it has 64 bits, the lower first, as every platform of ours."""
    shipped = (lief.ELF.Header.CLASS.ELF64, lief.ELF.Header.ELF_DATA.LSB)
    return (binary.header.identity_class, binary.header.identity_data) == shipped


def _architecture(binary: lief.ELF.Binary) -> str:
    name = binary.header.machine_type.name
    return _ARCHITECTURES.get(name, name) if _is_ours(binary) else f"another {name}"


def _end(content: bytes) -> int:
    """Give the size in bytes that a file has by its headers. lief cuts what lies beyond the end, and says nothing."""
    ends: list[int] = []
    try:
        segments, sections = struct.unpack_from("<QQ", content, 32)
        size, count, section, number = struct.unpack_from("<4H", content, 54)
        ends += [segments + size * count, sections + section * number]
        for place in range(segments, segments + size * count, size):
            ends.append(sum(struct.unpack_from("<Q16xQ", content, place + 8)))
    except struct.error as error:
        raise ValueError("an ELF file whose headers are not whole") from error
    return max(ends)


def _searches(binary: lief.ELF.Binary) -> Iterator[str]:
    for entry in binary.dynamic_entries:
        if isinstance(entry, lief.ELF.DynamicEntryRpath):
            yield str(entry.rpath)
        elif isinstance(entry, lief.ELF.DynamicEntryRunPath):
            yield str(entry.runpath)


def _versions(binary: lief.ELF.Binary) -> Iterator[str]:
    for requirement in binary.symbols_version_requirement:
        yield from (str(auxiliary.name) for auxiliary in requirement.get_auxiliary_symbols())


def _symbols(binary: lief.ELF.Binary, glibc: Glibc) -> Iterator[str]:
    for symbol in binary.dynamic_symbols:
        version = symbol.symbol_version
        auxiliary = version.symbol_version_auxiliary if version and version.has_auxiliary_version else None
        if auxiliary and glibc and highest_glibc([str(auxiliary.name)]) == glibc:
            yield str(symbol.name)
