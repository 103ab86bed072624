"""Reads the files inside a file that is itself an archive: a zip file, or a program frozen by PyInstaller.

Sources: PyInstaller's archive formats (CArchive with its cookie, PYZ); zip as `zipfile` reads it. The marshalled table
of a PYZ is not read, since `marshal` is unsafe for untrusted data; the streams are stored one after the other anyway.
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
"""Maximum unpacked size in bytes of the files inside a file; the most in a file that we ship is 46 MB."""

_MOST = 100_000  # files inside a file
_DIRECTORY_ENTRY = b"PK\x01\x02"
_OPTION, _CONTENTS = b"o", "pyi-contents-directory "


class Bootloader(NamedTuple):
    """What a program frozen by PyInstaller loads first: the Python library `python` in its directory `contents`."""

    python: str
    contents: str


def read_zip(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a zip file with their names, nothing for another file; raise ValueError if it is damaged."""
    if not content.startswith(_ZIP):
        return
    if content.count(_DIRECTORY_ENTRY) > _MOST:
        raise ValueError(f"zip file with more than {_MOST} files")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            left = LARGEST
            for info in archive.infolist():
                with archive.open(info) as stream:
                    yield info.filename, (unpacked := stream.read(left + 1))
                left = _subtract(left, unpacked)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise ValueError(f"unreadable zip file: {error}") from error


def read_frozen(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the scripts and modules that PyInstaller packed into a program, decompressed; nothing for another file.

    A module is named after its archive and its number there. Raise ValueError if the archive is damaged.
    """
    try:
        yield from _unpack(content)
    except (struct.error, zlib.error, ValueError) as error:
        raise ValueError(f"unreadable archive in a frozen program: {error}") from error


def _unpack(content: bytes) -> Iterator[tuple[str, bytes]]:
    left, count = LARGEST, 0
    for name, packed, compressed, kind in _entries(content):
        entry = b"".join(_streams(packed, left)) if compressed else bytes(packed)
        left = _subtract(left, entry)
        if kind not in _PYZ_KINDS:
            yield name, entry
            continue
        for module, code in _modules(name, memoryview(entry), left):
            left, count = _subtract(left, code), count + 1
            if count > _MOST:
                raise ValueError(f"it contains more than {_MOST} modules")
            yield module, code


def read_bootloader(content: bytes) -> Bootloader | None:
    """Return what a frozen program loads first, or None for another or a damaged file; read_frozen reports damage."""
    if (cookie := content.rfind(_COOKIE)) < 0:
        return None
    try:
        options = [name for name, _, _, kind in _entries(content) if kind == _OPTION]
        python = struct.unpack_from(_COOKIE_FORMAT, content, cookie)[-1].partition(b"\0")[0].decode(errors="replace")
    except (struct.error, ValueError):
        return None
    folders = (option.removeprefix(_CONTENTS) for option in options if option.startswith(_CONTENTS))
    return Bootloader(python, next(folders, "."))


def _entries(content: bytes) -> Iterator[tuple[str, memoryview, bool, bytes]]:
    """Yield the entries of the archive at the end of a program, which its cookie describes."""
    if (end := content.rfind(_COOKIE)) < 0:
        return
    _, length, table, size, *_ = struct.unpack_from(_COOKIE_FORMAT, content, end)
    start = end + struct.calcsize(_COOKIE_FORMAT) - length
    if start < 0 or start + table + size > end:
        raise ValueError("the table is outside the archive")
    head = struct.calcsize(_ENTRY_FORMAT)
    if size > _MOST * head:
        raise ValueError(f"the table has {size} bytes")
    package, offset = memoryview(content)[start:end], table
    while offset < table + size:
        length, begin, packed, _, compressed, kind = struct.unpack_from(_ENTRY_FORMAT, package, offset)
        if length <= head:
            raise ValueError("the table is damaged")
        name = bytes(package[offset + head : offset + length]).split(b"\0")[0].decode(errors="replace")
        yield name, package[begin : begin + packed], bool(compressed), kind
        offset += length


def _modules(name: str, pyz: memoryview, left: int) -> Iterator[tuple[str, bytes]]:
    magic, table = bytes(pyz[:4]), struct.unpack_from("!i", pyz, 8)[0]
    if magic != b"PYZ\0" or not _PYZ_HEADER <= table <= len(pyz):
        raise ValueError(f"{name} is not a PYZ archive")
    for number, content in enumerate(_streams(pyz[_PYZ_HEADER:table], left), start=1):
        yield f"{name}#{number}", content


def _streams(packed: memoryview, left: int) -> Iterator[bytes]:
    """Decompress consecutive zlib streams, in chunks, since zlib copies the rest of its input at the end of a stream.

    Raise ValueError if they unpack to more than `left` bytes together.
    """
    offset = count = 0
    while offset < len(packed):
        if (count := count + 1) > _MOST:
            raise ValueError(f"it contains more than {_MOST} streams")
        unpacker, parts = zlib.decompressobj(), []
        while not unpacker.eof:
            piece = packed[offset : offset + _CHUNK]
            if not piece:
                raise ValueError("truncated stream")
            parts.append(unpacker.decompress(piece, left + 1))
            left = _subtract(left, parts[-1])
            offset += len(piece)
        offset -= len(unpacker.unused_data)
        yield b"".join(parts)


def _subtract(left: int, unpacked: bytes) -> int:
    """Return how many bytes are left; raise ValueError if there are too few for these."""
    if len(unpacked) > left:
        raise ValueError(f"it contains more than {LARGEST} bytes")
    return left - len(unpacked)
