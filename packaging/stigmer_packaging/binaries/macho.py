"""Mach-O files as dyld sees them: for which processor and macOS, which libraries, and whether the signature holds.

Source: Apple's mach-o/loader.h and mach-o/fat.h. Nothing is asked of otool or codesign, so it works on any host.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import lief

from stigmer_packaging.binaries import codesign

_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")
_FAT_MAGICS = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_MOST_SLICES = 30  # a Java class file has the same magic, and then a version number above this
_HEADER = 32  # bytes of a 64-bit file before its load commands
_CPUS = {each.value: each.name for each in lief.MachO.Header.CPU_TYPE}
_ARCHITECTURES = {"ARM64": "arm64", "X86_64": "amd64"}
_LOADS = {"LOAD_DYLIB", "LOAD_WEAK_DYLIB", "REEXPORT_DYLIB", "LOAD_UPWARD_DYLIB", "LAZY_LOAD_DYLIB"}

lief.logging.disable()  # it would write to the terminal what we say in findings
lief.disable_leak_warning()  # when a run is interrupted, objects are left

SELF, MAIN_PROGRAM, FLAT, WEAK_DEFINITION = 0, -1, -2, -3
"""What an ordinal means that is no library's. Source: BIND_SPECIAL_DYLIB in mach-o/loader.h."""


class Dylib(NamedTuple):
    """A library that a file is linked with; `optional`, whether it may be missing."""

    name: str
    optional: bool
    reexported: bool


class Bind(NamedTuple):
    """A symbol that dyld looks up; `ordinal` counts the file's libraries from 1, or is one of the above."""

    name: str
    ordinal: int
    weak: bool


@dataclass(frozen=True)
class MachO:
    """One architecture's slice of a Mach-O file.

    `identity` is a library's own name; `search`, its rpaths; `minimum`, the oldest macOS, None when the file does not say;
    `flaws`, what is wrong with its signature, None when there is none.
    """

    architecture: str
    identity: str
    libraries: tuple[Dylib, ...]
    search: tuple[str, ...]
    platform: str
    minimum: tuple[int, ...] | None
    flaws: tuple[str, ...] | None
    binds: frozenset[Bind]
    exports: frozenset[str]


def is_macho(head: bytes) -> bool:
    """Tell from a file's first 8 bytes whether it is a Mach-O file, thin or fat."""
    if head[:4] in _FAT_MAGICS:
        return int.from_bytes(head[4:8], "big") <= _MOST_SLICES
    return head[:4] in _MAGICS


def read_machos(content: bytes) -> tuple[MachO, ...]:
    """Read every slice of a Mach-O file; raise ValueError when it is not whole."""
    config = lief.MachO.ParserConfig()
    config.parse_dyld_rebases = False
    fat = lief.MachO.parse(content, config)
    if fat is None or not fat.size:
        raise ValueError("a Mach-O file that cannot be read")
    return tuple(_read_slice(binary, memoryview(content)) for binary in fat)


def _read_slice(binary: lief.MachO.Binary, content: memoryview) -> MachO:
    image = content[binary.fat_offset : binary.fat_offset + binary.original_size]
    ends = [segment.file_offset + segment.file_size for segment in binary.segments]
    if len(binary.commands) != binary.header.nb_cmds or max((_HEADER, *ends)) > len(image):
        raise ValueError("a Mach-O file that is not whole")
    platform, minimum = _minimum(binary)
    number = int.from_bytes(image[4:8], "little" if image[:4] in _MAGICS[:2] else "big")
    cpu = _CPUS.get(number, str(number))  # lief itself warns of one that it does not know
    signature = binary.code_signature
    return MachO(
        architecture=_ARCHITECTURES.get(cpu, cpu),
        identity=next((str(each.name) for each in binary.libraries if each.command.name == "ID_DYLIB"), ""),
        libraries=tuple(_dylib(each) for each in binary.libraries if each.command.name in _LOADS),
        search=tuple(str(rpath.path) for rpath in binary.rpaths),
        platform=platform,
        minimum=minimum,
        flaws=codesign.find_flaws(image, signature.data_offset, signature.data_size) if signature else None,
        binds=frozenset(_binds(binary)),
        exports=frozenset(_exports(binary)),
    )


def _dylib(command: lief.MachO.DylibCommand) -> Dylib:
    kind = command.command.name
    return Dylib(str(command.name), kind == "LOAD_WEAK_DYLIB", kind == "REEXPORT_DYLIB")


def _binds(binary: lief.MachO.Binary) -> Iterator[Bind]:
    """Give what bind opcodes or chained fixups ask for; a lookup among all weak definitions has a table of its own."""
    for found in binary.bindings:
        if found.symbol is not None:
            coalesced = isinstance(found, lief.MachO.DyldBindingInfo) and found.binding_class.name == "WEAK"
            ordinal = WEAK_DEFINITION if coalesced else _signed(found.library_ordinal)
            yield Bind(str(found.symbol.name), ordinal, bool(found.weak_import))


def _exports(binary: lief.MachO.Binary) -> Iterator[str]:
    """Give the symbols of the export trie, which alone dyld looks into."""
    for trie in (binary.dyld_info, binary.dyld_exports_trie):
        yield from (str(found.symbol.name) for found in (trie.exports if trie else ()) if found.symbol)


def _signed(ordinal: int) -> int:
    """Give an ordinal of a chained fixup, whose special values are the highest of 8 or 16 bits, as the opcodes have it."""
    return next((ordinal - limit for limit in (1 << 8, 1 << 16) if limit - 4 < ordinal < limit), ordinal)


def _minimum(binary: lief.MachO.Binary) -> tuple[str, tuple[int, ...] | None]:
    if build := binary.build_version:
        return build.platform.name, tuple(build.minos)
    if old := binary.version_min:
        return old.command.name.removeprefix("VERSION_MIN_").removesuffix("X"), tuple(old.version)
    return "", None
