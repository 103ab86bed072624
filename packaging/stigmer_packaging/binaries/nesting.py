"""What lies inside a file that is itself an archive: a zip file, or a program frozen by PyInstaller.

Sources: PyInstaller's archive formats (CArchive with its cookie, PYZ), zip as zipfile reads it. Python's marshalled
table of a PYZ is not read: its streams stand one after the other, and data of others is not given to `marshal`.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

_COOKIE = b"MEI\014\013\012\013\016"
_COOKIE_FORMAT = "!8sIIII64s"
_ENTRY_FORMAT = "!IIIIBc"
_PYZ_HEADER = 17
_PYZ_KINDS = {b"z", b"Z"}
_ZIP = b"PK\x03\x04"
_CHUNK = 1 << 16
LARGEST = 128 << 20
"""Bytes that a file may hold inside it, unpacked: the largest that we ship holds 46 MB."""

_MOST = 100_000  # files inside a file
_DIRECTORY_ENTRY = b"PK\x01\x02"
_OPTION, _CONTENTS = b"o", "pyi-contents-directory "


class Bootloader(NamedTuple):
    """What a program frozen by PyInstaller loads first: the Python library `python` in its folder `contents`."""

    python: str
    contents: str


def read_zip(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the files of a zip file by name, none when it is something else; ValueError when it is damaged."""
    if not content.startswith(_ZIP):
        return
    if content.count(_DIRECTORY_ENTRY) > _MOST:
        raise ValueError(f"a zip file with more than {_MOST} files")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            left = LARGEST
            for info in archive.infolist():
                with archive.open(info) as stream:
                    yield info.filename, (unpacked := stream.read(left + 1))
                left = _subtract(left, unpacked)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise ValueError(f"a zip file that cannot be read: {error}") from error


def read_frozen(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Give what PyInstaller packed into a program, scripts and modules, decompressed; none when it packed nothing.

    A module is named after the archive it is in and its number there. Raise ValueError when the archive is damaged.
    """
    try:
        left = LARGEST
        for name, packed, compressed, kind in _entries(content):
            entry = b"".join(_streams(packed, left)) if compressed else bytes(packed)
            left = _subtract(left, entry)
            if kind in _PYZ_KINDS:
                yield from _modules(name, memoryview(entry))
            else:
                yield name, entry
    except (struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"a frozen program whose archive cannot be read: {error}") from error


def read_bootloader(content: bytes) -> Bootloader | None:
    """Say what a frozen program loads; None when it is none, or its archive is damaged, which read_frozen reports."""
    if (place := content.rfind(_COOKIE)) < 0:
        return None
    try:
        options = [name for name, _, _, kind in _entries(content) if kind == _OPTION]
        python = struct.unpack_from(_COOKIE_FORMAT, content, place)[-1].partition(b"\0")[0].decode(errors="replace")
    except (struct.error, ValueError):
        return None
    folders = (option.removeprefix(_CONTENTS) for option in options if option.startswith(_CONTENTS))
    return Bootloader(python, next(folders, "."))


def _entries(content: bytes) -> Iterator[tuple[str, memoryview, bool, bytes]]:
    """Give the entries of the archive at a program's end, which its cookie describes."""
    if (end := content.rfind(_COOKIE)) < 0:
        return
    _, length, table, size, *_ = struct.unpack_from(_COOKIE_FORMAT, content, end)
    start = end + struct.calcsize(_COOKIE_FORMAT) - length
    if start < 0 or start + table + size > end:
        raise ValueError("its table lies outside it")
    head = struct.calcsize(_ENTRY_FORMAT)
    if size > _MOST * head:
        raise ValueError(f"its table has {size} bytes")
    package, place = memoryview(content)[start:end], table
    while place < table + size:
        length, begin, packed, _, compressed, kind = struct.unpack_from(_ENTRY_FORMAT, package, place)
        if length <= head:
            raise ValueError("its table is damaged")
        name = bytes(package[place + head : place + length]).split(b"\0")[0].decode(errors="replace")
        yield name, package[begin : begin + packed], bool(compressed), kind
        place += length


def _modules(name: str, pyz: memoryview) -> Iterator[tuple[str, bytes]]:
    magic, table = bytes(pyz[:4]), struct.unpack_from("!i", pyz, 8)[0]
    if magic != b"PYZ\0" or not _PYZ_HEADER <= table <= len(pyz):
        raise ValueError(f"{name} is not a PYZ archive")
    for number, content in enumerate(_streams(pyz[_PYZ_HEADER:table], LARGEST), start=1):
        yield f"{name}#{number}", content


def _streams(packed: memoryview, left: int) -> Iterator[bytes]:
    """Decompress the zlib streams that stand one after the other, a piece at a time: what is left over is copied.

    Raise ValueError when they hold more than `left` bytes together.
    """
    place = count = 0
    while place < len(packed):
        if (count := count + 1) > _MOST:
            raise ValueError(f"it holds more than {_MOST} streams")
        unpacker, parts = zlib.decompressobj(), []
        while not unpacker.eof:
            piece = packed[place : place + _CHUNK]
            if not piece:
                raise ValueError("a stream that ends too early")
            parts.append(unpacker.decompress(piece, left + 1))
            left = _subtract(left, parts[-1])
            place += len(piece)
        place -= len(unpacker.unused_data)
        yield b"".join(parts)


def _subtract(left: int, unpacked: bytes) -> int:
    """Give how many bytes may still come; ValueError when these were too many."""
    if len(unpacked) > left:
        raise ValueError(f"it holds more than {LARGEST} bytes")
    return left - len(unpacked)
