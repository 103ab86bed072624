"""ELF files: what they need, where they look for it, and the removal of a build host's library paths.

Only 64-bit little-endian files, which is what every target of ours has. Sources: the System V ABI's chapters on object
files and dynamic linking, and the GNU extensions in glibc's elf.h.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from elftools.elf.dynamic import DynamicSection, DynamicTag
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.sections import StringTableSection, SymbolTableSection

MAGIC = b"\x7fELF"
ORIGIN = "$ORIGIN"
_ARCHITECTURES = {"EM_X86_64": "amd64", "EM_AARCH64": "arm64"}
_SEARCH_TAGS = ("DT_RPATH", "DT_RUNPATH")
_ENTRY = 16  # bytes of an Elf64_Dyn: tag and value

Glibc = tuple[int, ...]
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Elf:
    """What one ELF file asks for. `search` are the folders of RPATH and RUNPATH; `glibc`, its highest symbol version."""

    path: Path
    architecture: str
    needed: tuple[str, ...]
    search: tuple[str, ...]
    glibc: Glibc


def find_elves(root: Path) -> list[Path]:
    """List the regular files below `root` that are ELF files, sorted."""
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in found if not path.is_symlink() and is_elf(path))


def is_elf(path: Path) -> bool:
    """Tell whether a file begins as an ELF file does."""
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def read_elf(path: Path) -> Elf:
    """Read what an ELF file asks for. A machine we do not ship for is named as the specification names it."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        tags = _dynamic_tags(elf)
        machine = elf["e_machine"]
        return Elf(
            path=path,
            architecture=_ARCHITECTURES.get(machine, str(machine)),
            needed=tuple(_text_of(elf, tag) for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
            search=tuple(folder for tag in tags for folder in _search_of(elf, tag)),
            glibc=highest_glibc(_versions(elf)),
        )


def highest_glibc(names: Iterable[str]) -> Glibc:
    """Give the highest of symbol versions such as `GLIBC_2.17` as `(2, 17)`; `()` when none is of glibc."""
    matches = (re.fullmatch(r"GLIBC_(\d+(?:\.\d+)+)", name) for name in names)
    return max((tuple(map(int, match[1].split("."))) for match in matches if match), default=())


def is_own_folder(folder: str) -> bool:
    """Tell whether a search folder is relative to the file that names it, so that it means the same on any machine."""
    return folder == ORIGIN or folder.startswith(f"{ORIGIN}/")


def forget_search(path: Path) -> bool:
    """Remove RPATH and RUNPATH from a file in place if one of their folders is not its own; tell whether it did.

    The text goes too, not only the entry that points at it: other tools leave it in the string table. Bytes that
    another string shares (linkers merge strings with equal ends) stay.
    """
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        tags = _dynamic_tags(elf)
        foreign = [tag for tag in tags if not all(map(is_own_folder, _search_of(elf, tag)))]
        if not foreign:
            return False
        kept = [index for index, tag in enumerate(tags) if tag not in foreign]
        spans = [_erasable(elf, tag.entry.d_val) for tag in foreign]
        section = _section(elf, ".dynamic", DynamicSection)
        start, size = section["sh_offset"], section["sh_size"]
    _rewrite(path, start, size, kept, spans)
    return True


def _rewrite(path: Path, start: int, size: int, kept: list[int], spans: list[tuple[int, int]]) -> None:
    with path.open("r+b") as stream:
        stream.seek(start)
        table = stream.read(size)
        entries = b"".join(table[index * _ENTRY : (index + 1) * _ENTRY] for index in kept)
        stream.seek(start)
        stream.write(entries.ljust(size, b"\0"))
        for first, last in spans:
            stream.seek(first)
            stream.write(bytes(last - first))


def _section(elf: ELFFile, name: str, kind: type[Kind]) -> Kind:
    section = elf.get_section_by_name(name)
    if isinstance(section, kind):
        return section
    raise ValueError(f"an ELF file without {name}")


def _dynamic_tags(elf: ELFFile) -> list[DynamicTag]:
    """List the entries of the dynamic table; a static program has none."""
    section = elf.get_section_by_name(".dynamic")
    return list(section.iter_tags()) if isinstance(section, DynamicSection) else []


def _text_of(elf: ELFFile, tag: DynamicTag) -> str:
    return _section(elf, ".dynstr", StringTableSection).get_string(tag.entry.d_val)


def _search_of(elf: ELFFile, tag: DynamicTag) -> list[str]:
    if tag.entry.d_tag not in _SEARCH_TAGS:
        return []
    return [folder for folder in _text_of(elf, tag).split(":") if folder]


def _versions(elf: ELFFile) -> Iterator[str]:
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, auxiliaries in section.iter_versions():
                yield from (auxiliary.name for auxiliary in auxiliaries)


def _erasable(elf: ELFFile, offset: int) -> tuple[int, int]:
    """Give the span of file offsets of a string in .dynstr that no other string reaches into."""
    strings = _section(elf, ".dynstr", StringTableSection)
    text: bytes = strings.data()
    end = text.index(b"\0", offset)
    shared = offset > 0 and text[offset - 1] != 0
    inside = [reference for reference in _references(elf) if offset <= reference < end]
    last = offset if shared else min([end, *inside])
    return strings["sh_offset"] + offset, strings["sh_offset"] + last


def _references(elf: ELFFile) -> Iterator[int]:
    for tag in _dynamic_tags(elf):
        if tag.entry.d_tag in {"DT_NEEDED", "DT_SONAME"}:
            yield tag.entry.d_val
    yield from (symbol.entry.st_name for symbol in _section(elf, ".dynsym", SymbolTableSection).iter_symbols())
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for needed, auxiliaries in section.iter_versions():
                yield needed.entry.vn_file
                yield from (auxiliary.entry.vna_name for auxiliary in auxiliaries)
        elif isinstance(section, GNUVerDefSection):
            for _, auxiliaries in section.iter_versions():
                yield from (auxiliary.entry.vda_name for auxiliary in auxiliaries)
