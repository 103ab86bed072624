"""Mach-O files as dyld sees them: for which processor and macOS, which libraries, and whether the signature holds.

Source: Apple's mach-o/loader.h and mach-o/fat.h. Nothing is asked of otool or codesign, so it works on any host.
"""

from dataclasses import dataclass

import lief

from stigmer_packaging.binaries import codesign

_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")
_FAT_MAGICS = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
_MOST_SLICES = 30  # a Java class file has the same magic, and then a version number above this
_HEADER = 32  # bytes of a 64-bit file before its load commands
_ARCHITECTURES = {"ARM64": "arm64", "X86_64": "amd64"}
_LOADS = {"LOAD_DYLIB", "REEXPORT_DYLIB", "LOAD_UPWARD_DYLIB", "LAZY_LOAD_DYLIB"}

lief.logging.disable()  # it would write to the terminal what we say in findings


@dataclass(frozen=True)
class MachO:
    """One architecture's slice of a Mach-O file.

    `kind` is lief's word, such as `EXECUTE`, `DYLIB` or `BUNDLE`; `identity`, a library's own name; `optional`, what may
    be missing; `search`, its rpaths; `minimum`, the oldest macOS, None when the file does not say; `flaws`, what is
    wrong with its signature, None when there is none.
    """

    architecture: str
    kind: str
    identity: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    search: tuple[str, ...]
    platform: str
    minimum: tuple[int, ...] | None
    flaws: tuple[str, ...] | None


def is_macho(head: bytes) -> bool:
    """Tell from a file's first 8 bytes whether it is a Mach-O file, thin or fat."""
    if head[:4] in _FAT_MAGICS:
        return int.from_bytes(head[4:8], "big") <= _MOST_SLICES
    return head[:4] in _MAGICS


def read_machos(content: bytes) -> tuple[MachO, ...]:
    """Read every slice of a Mach-O file; raise ValueError when it is not whole."""
    fat = lief.MachO.parse(content, lief.MachO.ParserConfig.quick)
    if fat is None or not fat.size:
        raise ValueError("a Mach-O file that cannot be read")
    return tuple(_read_slice(binary, memoryview(content)) for binary in fat)


def _read_slice(binary: lief.MachO.Binary, content: memoryview) -> MachO:
    image = content[binary.fat_offset : binary.fat_offset + binary.original_size]
    ends = [segment.file_offset + segment.file_size for segment in binary.segments]
    if len(binary.commands) != binary.header.nb_cmds or max((_HEADER, *ends)) > len(image):
        raise ValueError("a Mach-O file that is not whole")
    libraries = [(library.command.name, str(library.name)) for library in binary.libraries]
    platform, minimum = _minimum(binary)
    return MachO(
        architecture=_ARCHITECTURES.get(binary.header.cpu_type.name, binary.header.cpu_type.name),
        kind=binary.header.file_type.name,
        identity=next((name for command, name in libraries if command == "ID_DYLIB"), ""),
        needed=tuple(name for command, name in libraries if command in _LOADS),
        optional=tuple(name for command, name in libraries if command == "LOAD_WEAK_DYLIB"),
        search=tuple(str(rpath.path) for rpath in binary.rpaths),
        platform=platform,
        minimum=minimum,
        flaws=_flaws(binary, image),
    )


def _minimum(binary: lief.MachO.Binary) -> tuple[str, tuple[int, ...] | None]:
    if build := binary.build_version:
        return build.platform.name, tuple(build.minos)
    if old := binary.version_min:
        return old.command.name.removeprefix("VERSION_MIN_").removesuffix("X"), tuple(old.version)
    return "", None


def _flaws(binary: lief.MachO.Binary, image: memoryview) -> tuple[str, ...] | None:
    signature = binary.code_signature
    return codesign.find_flaws(image, signature.data_offset, signature.data_size) if signature else None
