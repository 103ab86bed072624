"""A bottle's file, read as a stream: nothing of it is written to disk, and what it may ask of memory and time is limited.

Sources: gzip's header (RFC 1952); tar as tarfile reads it.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from stigmer_packaging.lib.errors import ArchiveError

_BLOCK = 1 << 20
_GZIP_HEADER = 10

LARGEST_MEMBER = 256 << 20
"""Bytes a member may have: the largest that we ship has 149 MB."""

LARGEST_TOTAL = 1 << 30
"""Bytes all members may have together, with their headers: a bottle of ours unpacks to 390 MB."""

_MOST_MEMBERS = 50_000
_LARGEST_HEADER = 64 << 10  # bytes of a pax header, or of a GNU long name: tarfile reads it whole
_CONTENTS = (*tarfile.REGULAR_TYPES, tarfile.GNUTYPE_SPARSE)


def read_gzip_header(path: Path) -> bytes:
    """Give the header without its optional fields; ArchiveError when the file is not gzip."""
    with path.open("rb") as stream:
        header = stream.read(_GZIP_HEADER)
    if len(header) < _GZIP_HEADER or not header.startswith(b"\x1f\x8b"):
        remedy = "pack it with gzip: every machine can unpack that"
        raise ArchiveError(f"{path.name} is not compressed with gzip", remedy)
    return header


class _Member(tarfile.TarInfo):
    """A member whose header is refused when it announces more than we read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header as tarfile does, and check the size that it names before anything is read."""
        info = super().frombuf(buf, encoding, errors)
        _require_size(info, LARGEST_MEMBER if info.type in _CONTENTS else _LARGEST_HEADER)
        return info


class _Limited:
    """A stream that ends with ArchiveError when more comes out of it than a bottle may unpack to."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream, self._left = stream, LARGEST_TOTAL

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveError(f"it unpacks to more than {LARGEST_TOTAL} bytes")
        return data


def read_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Give every member as it comes, a file with its content; what is no plain file has none, a sparse one neither.

    Raise ArchiveError when the archive is damaged, or larger than the limits above.
    """
    try:
        with gzip.open(path) as packed:
            limited = _Limited(packed)
            with tarfile.open(fileobj=limited, mode="r|", tarinfo=_Member) as tar:  # type: ignore[call-overload]
                for number, info in enumerate(tar):
                    _require_number(number)
                    _require_size(info, LARGEST_MEMBER)  # again: a pax header may have given it another one
                    yield info, _content(tar, info)
                    tar.members.clear()  # which keeps every header
            while limited.read(_BLOCK):  # gzip's checksum stands at the very end
                pass
    except ArchiveError as error:
        raise ArchiveError(f"{path.name} is refused: {error}") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, RecursionError) as error:
        raise ArchiveError(f"{path.name} is damaged: {error}") from error


def _require_size(info: tarfile.TarInfo, largest: int) -> None:
    if info.size > largest:
        raise ArchiveError(f"its member {info.name[:80]!r} has {info.size} bytes, and {largest} are the most")


def _require_number(number: int) -> None:
    if number == _MOST_MEMBERS:
        raise ArchiveError(f"it has more than {_MOST_MEMBERS} members")


def is_plain_file(info: tarfile.TarInfo) -> bool:
    """Tell whether a member is a file whose bytes stand in the archive: those of a sparse one are made when it is unpacked."""
    return info.isreg() and not info.issparse()


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(info) if is_plain_file(info) else None
    return stream.read() if stream else b""
