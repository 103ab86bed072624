"""Code signatures of Mach-O files: whether the bytes on disk are the bytes that were signed.

This is what the kernel checks before it lets a page run, of an ad-hoc signature as of any other; who signed is not
looked at. Source: xnu's osfmk/kern/cs_blobs.h. All numbers are big-endian.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SUPERBLOB, _CODE_DIRECTORY = 0xFADE0CC0, 0xFADE0C02
_DIRECTORY_SLOTS = (0, *range(0x1000, 0x1005))
_DIGESTS = {1: ("sha1", 20), 2: ("sha256", 32), 3: ("sha256", 20), 4: ("sha384", 48)}
_BOUND = {2: "requirements", 5: "entitlements", 7: "DER entitlements"}
"""Blobs of the signature itself whose digest stands in the code directory, at the negative of their slot."""

_LONG_LIMIT = 0x20300
"""The version of a code directory from which on its limit may have 64 bits."""


@dataclass(frozen=True)
class _Directory:
    """One code directory: its digest's name and length, the page size in bytes, and the bytes it covers from the start."""

    algorithm: str
    page: int
    limit: int
    pages: tuple[bytes, ...]
    bound: Mapping[int, bytes]


def find_flaws(image: memoryview, offset: int, size: int) -> tuple[str, ...]:
    """Say what is wrong with the signature of `size` bytes at `offset` of a thin Mach-O file; nothing when it holds."""
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
        raise ValueError("it does not begin as one, or ends too early")
    for index in range(count):
        slot, start = struct.unpack_from(">II", signature, 12 + 8 * index)
        _, size = struct.unpack_from(">II", signature, start)
        if start + size > length:
            raise ValueError(f"its blob {slot:#x} ends too late")
        yield slot, signature[start : start + size]


def _parse_directory(blob: memoryview) -> _Directory:
    magic, _, version, _, hashes, _, special, count, limit = struct.unpack_from(">9I", blob)
    size, kind, _, page = struct.unpack_from(">4B", blob, 36)
    if magic != _CODE_DIRECTORY or _DIGESTS.get(kind, ("", 0))[1] != size:
        raise ValueError(f"a code directory with digests of kind {kind} and {size} bytes")
    if version >= _LONG_LIMIT:
        limit = struct.unpack_from(">Q", blob, 56)[0] or limit
    if hashes < size * special or hashes + size * count > len(blob):
        raise ValueError("a code directory without room for its digests")

    def digest_at(slot: int) -> bytes:
        return bytes(blob[hashes + size * slot : hashes + size * (slot + 1)])

    bound = {slot: digest_at(-slot) for slot in _BOUND if slot <= special}
    return _Directory(
        _DIGESTS[kind][0], 1 << page if page else limit, limit, tuple(map(digest_at, range(count))), bound
    )


def _flaws_of(directory: _Directory, image: memoryview, offset: int, blobs: Mapping[int, memoryview]) -> Iterator[str]:
    if directory.limit != offset:
        yield f"it covers {directory.limit} bytes of the {offset} before it"
    starts = range(0, min(directory.limit, len(image)), max(directory.page, 1))
    if len(starts) != len(directory.pages):
        yield f"it has {len(directory.pages)} digests for {len(starts)} pages"
    wrong = [
        start
        for start, expected in zip(starts, directory.pages, strict=False)
        if not _matches(directory, image[start : min(start + directory.page, directory.limit)], expected)
    ]
    if wrong:
        yield f"{len(wrong)} of {len(starts)} pages are not what was signed ({directory.algorithm}), first at {wrong[0]:#x}"
    for slot, name in _BOUND.items():
        if slot in blobs and not _matches(directory, blobs[slot], directory.bound.get(slot, b"")):
            yield f"its {name} are not the ones that were signed ({directory.algorithm})"


def _matches(directory: _Directory, content: memoryview, expected: bytes) -> bool:
    found = hashlib.new(directory.algorithm, content, usedforsecurity=False).digest()
    return bool(expected) and found[: len(expected)] == expected
