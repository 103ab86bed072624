"""Signs Mach-O files ad hoc, and checks whether the bytes on disk are the bytes that were signed.

The kernel makes the same check before it executes a page, for ad-hoc and other signatures alike. The signer's identity
is not checked. Source: xnu's osfmk/kern/cs_blobs.h. All numbers are big-endian.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stigmer_packaging.binaries import macho_edit

_SUPERBLOB, _CODE_DIRECTORY = 0xFADE0CC0, 0xFADE0C02
_DIRECTORY_SLOTS = (0, *range(0x1000, 0x1005))
_DIGESTS = {1: ("sha1", 20), 2: ("sha256", 32), 3: ("sha256", 20), 4: ("sha384", 48)}
_BOUND = {2: "requirements", 5: "entitlements", 7: "DER entitlements"}
"""Blobs of the signature whose digests are in the code directory, at the negative of their slot."""

_LONG_LIMIT = 0x20300
"""The first version of a code directory that can have a 64-bit limit."""

_EXECUTABLE_SEGMENT = 0x20400
"""The first version that describes the executable segment, and whether it belongs to a main program."""

_REQUIREMENTS = struct.pack(">3I", 0xFADE0C01, 12, 0)
_CMS_SIGNATURE = struct.pack(">2I", 0xFADE0B01, 8)
"""Both empty, as `codesign --sign -` writes them: no requirements, and no signer."""

_AD_HOC = 0x2
_PAGE_BITS = 12
_DIRECTORY_HEAD = 88


@dataclass(frozen=True)
class _Directory:
    """One code directory: its hash algorithm, page size in bytes, the bytes covered from the start, and its digests.

    `pages` are the digests of the pages, `bound` those of other blobs by slot.
    """

    algorithm: str
    page: int
    limit: int
    pages: tuple[bytes, ...]
    bound: Mapping[int, bytes]


def sign(content: bytes, identifier: str) -> bytes:
    """Sign a thin Mach-O file ad hoc, as `codesign --force --sign - --identifier` does; replace any signature.

    macOS caches its verdict on a file by inode: write the result to a new file and rename it over the old one.
    """
    content = macho_edit.remove_signature(content)
    limit = -(-len(content) // 16) * 16
    size = len(_signature(b"", limit, identifier, (0, 0, 0)))
    padded = -(-size // 16) * 16
    command = struct.pack("<4I", macho_edit.CODE_SIGNATURE, 16, limit, padded)
    content = macho_edit.write_commands(content, [*macho_edit.read_commands(content), command])
    content = macho_edit.resize_linkedit(content.ljust(limit + padded, b"\0"))[:limit]
    return content + _signature(content, limit, identifier, _code_segment(content)).ljust(padded, b"\0")


def find_flaws(image: memoryview, offset: int, size: int) -> tuple[str, ...]:
    """Return the flaws of the signature of `size` bytes at `offset` in a thin Mach-O file; none if it is valid."""
    try:
        blobs = dict(_blobs(image[offset : offset + size]))
        directories = [_parse_directory(blobs[slot]) for slot in _DIRECTORY_SLOTS if slot in blobs]
    except (struct.error, ValueError) as error:
        return (f"the signature is damaged: {error}",)
    if not directories:
        return ("the signature has no code directory",)
    return tuple(flaw for each in directories for flaw in _flaws_of(each, image, offset, blobs))


def _blobs(signature: memoryview) -> Iterator[tuple[int, memoryview]]:
    magic, length, count = struct.unpack_from(">III", signature)
    if magic != _SUPERBLOB or length > len(signature):
        raise ValueError("wrong magic number or length")
    for index in range(count):
        slot, start = struct.unpack_from(">II", signature, 12 + 8 * index)
        _, size = struct.unpack_from(">II", signature, start)
        if start + size > length:
            raise ValueError(f"blob {slot:#x} extends past its end")
        yield slot, signature[start : start + size]


def _parse_directory(blob: memoryview) -> _Directory:
    magic, _, version, _, hashes, _, special, count, limit = struct.unpack_from(">9I", blob)
    size, kind, _, page = struct.unpack_from(">4B", blob, 36)
    if magic != _CODE_DIRECTORY or _DIGESTS.get(kind, ("", None))[1] != size:
        raise ValueError(f"a code directory has digests of unknown type {kind} with {size} bytes")
    if version >= _LONG_LIMIT:
        limit = struct.unpack_from(">Q", blob, 56)[0] or limit
    if hashes < size * special or hashes + size * count > len(blob):
        raise ValueError("a code directory is too small for its digests")

    def digest_at(slot: int) -> bytes:
        return bytes(blob[hashes + size * slot : hashes + size * (slot + 1)])

    bound = {slot: digest_at(-slot) for slot in _BOUND if slot <= special}
    algorithm, covered = _DIGESTS[kind][0], 1 << page if page else limit
    return _Directory(algorithm, covered, limit, tuple(map(digest_at, range(count))), bound)


def _flaws_of(directory: _Directory, image: memoryview, offset: int, blobs: Mapping[int, memoryview]) -> Iterator[str]:
    if directory.limit != offset:
        yield f"the signature covers {directory.limit} of the {offset} bytes before it"
    starts = range(0, min(directory.limit, len(image)), max(directory.page, 1))
    if len(starts) != len(directory.pages):
        yield f"the signature has {len(directory.pages)} digests for {len(starts)} pages"
    changed = [
        start
        for start, expected in zip(starts, directory.pages, strict=False)
        if not _matches(directory, image[start : min(start + directory.page, directory.limit)], expected)
    ]
    if changed:
        count = f"{len(changed)} of {len(starts)} pages"
        yield f"{count} differ from what was signed ({directory.algorithm}), first at {changed[0]:#x}"
    for slot, name in _BOUND.items():
        if slot in blobs and not _matches(directory, blobs[slot], directory.bound.get(slot, b"")):
            yield f"the {name} differ from what was signed ({directory.algorithm})"


def _matches(directory: _Directory, content: memoryview, expected: bytes) -> bool:
    found = hashlib.new(directory.algorithm, content, usedforsecurity=False).digest()
    return bool(expected) and found[: len(expected)] == expected


def _signature(content: bytes, limit: int, identifier: str, code: tuple[int, int, int]) -> bytes:
    directory = _code_directory(content, limit, identifier, code)
    index, body = b"", b""
    blobs = ((0, directory), (2, _REQUIREMENTS), (0x10000, _CMS_SIGNATURE))
    for slot, blob in blobs:
        index += struct.pack(">2I", slot, 12 + 8 * len(blobs) + len(body))
        body += blob
    return struct.pack(">3I", _SUPERBLOB, 12 + len(index) + len(body), len(blobs)) + index + body


def _code_directory(content: bytes, limit: int, identifier: str, code: tuple[int, int, int]) -> bytes:
    """Build a code directory over the first `limit` bytes, with digests of the requirements and no Info.plist."""
    name, page = identifier.encode() + b"\0", 1 << _PAGE_BITS
    special = hashlib.sha256(_REQUIREMENTS).digest() + bytes(32)
    pages = [hashlib.sha256(content[start : min(start + page, limit)]).digest() for start in range(0, limit, page)]
    digests = _DIRECTORY_HEAD + len(name) + len(special)
    length = digests + 32 * len(pages)
    head = struct.pack(">2I", _CODE_DIRECTORY, length)
    head += struct.pack(
        ">7I", _EXECUTABLE_SEGMENT, _AD_HOC, digests, _DIRECTORY_HEAD, len(special) // 32, len(pages), limit
    )
    head += struct.pack(">4B4IQ3Q", 32, 2, 0, _PAGE_BITS, 0, 0, 0, 0, 0, *code)
    return head + name + special + b"".join(pages)


def _code_segment(content: bytes) -> tuple[int, int, int]:
    """Return the offset and size of __TEXT, and 1 for a main program, otherwise 0."""
    program = int.from_bytes(content[12:16], "little") == macho_edit.MAIN_EXECUTABLE
    found = macho_edit.segments(macho_edit.read_commands(content))
    start, size = next(((each.offset, each.size) for each in found if each.name == b"__TEXT"), (0, 0))
    return start, size, int(program)
