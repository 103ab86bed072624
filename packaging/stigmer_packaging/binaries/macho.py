"""Mach-O files as dyld sees them: architecture, minimum macOS, libraries, symbols, and validity of the signature.

Source: Apple's mach-o/loader.h and mach-o/fat.h. It works on any host, since it does not need otool or codesign.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import lief

from stigmer_packaging.binaries import codesign

_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")
_FAT_MAGICS = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_MOST_SLICES = 30  # a Java class file has the same magic number, followed by a version above this
_HEADER = 32  # bytes in a 64-bit file before its load commands
_CPUS = {each.value: each.name for each in lief.MachO.Header.CPU_TYPE}
_ARCHITECTURES = {"ARM64": "arm64", "X86_64": "amd64"}
_LOADS = {"LOAD_DYLIB", "LOAD_WEAK_DYLIB", "REEXPORT_DYLIB", "LOAD_UPWARD_DYLIB", "LAZY_LOAD_DYLIB"}

lief.logging.disable()  # it would print to the terminal what we report as findings
lief.disable_leak_warning()  # an interrupted run leaves objects behind

SELF, MAIN_PROGRAM, FLAT, WEAK_DEFINITION = 0, -1, -2, -3
"""The special ordinals, which do not denote a library. Source: BIND_SPECIAL_DYLIB in mach-o/loader.h."""


class Dylib(NamedTuple):
    """A library that a file is linked with; an `optional` one may be missing."""

    name: str
    optional: bool
    reexported: bool


class Bind(NamedTuple):
    """A symbol that dyld looks up; `ordinal` is the library's number, from 1, or one of the special ordinals."""

    name: str
    ordinal: int
    weak: bool


@dataclass(frozen=True)
class MachO:
    """One architecture's slice of a Mach-O file.

    `identity` is a library's install name; `search` are the rpaths. `minimum` is the oldest supported macOS, None if
    the file does not state it. `flaws` are the errors in its signature, None if it is not signed.
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
    """Return whether a file is a Mach-O file, thin or fat, judging by its first 8 bytes."""
    if head[:4] in _FAT_MAGICS:
        return int.from_bytes(head[4:8], "big") <= _MOST_SLICES
    return head[:4] in _MAGICS


def read_machos(content: bytes) -> tuple[MachO, ...]:
    """Read every slice of a Mach-O file; raise ValueError if it is truncated or damaged."""
    config = lief.MachO.ParserConfig()
    config.parse_dyld_rebases = False
    fat = lief.MachO.parse(content, config)
    if fat is None or not fat.size:
        raise ValueError("unreadable Mach-O file")
    return tuple(_read_slice(binary, memoryview(content)) for binary in fat)


def _read_slice(binary: lief.MachO.Binary, content: memoryview) -> MachO:
    image = content[binary.fat_offset : binary.fat_offset + binary.original_size]
    ends = [segment.file_offset + segment.file_size for segment in binary.segments]
    if len(binary.commands) != binary.header.nb_cmds or max((_HEADER, *ends)) > len(image):
        raise ValueError("truncated or damaged Mach-O file")
    platform, minimum = _minimum(binary)
    number = int.from_bytes(image[4:8], "little" if image[:4] in _MAGICS[:2] else "big")
    cpu = _CPUS.get(number, str(number))  # lief prints a warning for an unknown one
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
    """Yield the binds of opcodes or chained fixups; lookups among all weak definitions are in a separate table."""
    for found in binary.bindings:
        if found.symbol is not None:
            coalesced = isinstance(found, lief.MachO.DyldBindingInfo) and found.binding_class.name == "WEAK"
            ordinal = WEAK_DEFINITION if coalesced else found.library_ordinal
            yield Bind(str(found.symbol.name), ordinal, bool(found.weak_import))


def _exports(binary: lief.MachO.Binary) -> Iterator[str]:
    """Yield the symbols of the export trie, the only place where dyld looks up exports."""
    for trie in (binary.dyld_info, binary.dyld_exports_trie):
        yield from (str(found.symbol.name) for found in (trie.exports if trie else ()) if found.symbol)


def _minimum(binary: lief.MachO.Binary) -> tuple[str, tuple[int, ...] | None]:
    if build := binary.build_version:
        return build.platform.name, tuple(build.minos)
    if old := binary.version_min:
        return old.command.name.removeprefix("VERSION_MIN_").removesuffix("X"), tuple(old.version)
    return "", None
