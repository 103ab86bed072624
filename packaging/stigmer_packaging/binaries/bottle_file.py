"""Reads a bottle's file as a stream, without writing to disk and with limits on memory and time.

Sources: RFC 1952 for the gzip header; tar as `tarfile` reads it.
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
"""Maximum size of a member in bytes; the largest that we ship has 149 MB."""

LARGEST_TOTAL = 1 << 30
"""Maximum size in bytes of all members together, with their headers; our bottles unpack to 390 MB."""

_MOST_MEMBERS = 50_000
_LARGEST_HEADER = 64 << 10  # bytes of a pax header or a GNU long name, which tarfile reads at once
_CONTENTS = (*tarfile.REGULAR_TYPES, tarfile.GNUTYPE_SPARSE)


def read_gzip_header(path: Path) -> bytes:
    """Return the gzip header without its optional fields; raise ArchiveError if the file is not gzip."""
    with path.open("rb") as stream:
        header = stream.read(_GZIP_HEADER)
    if len(header) < _GZIP_HEADER or not header.startswith(b"\x1f\x8b"):
        remedy = "pack it with gzip, which every machine can unpack"
        raise ArchiveError(f"{path.name} is not compressed with gzip", remedy)
    return header


class _Member(tarfile.TarInfo):
    """A member whose header is rejected if it declares a size above the limits."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a header as tarfile does, and check its declared size before the content is read."""
        info = super().frombuf(buf, encoding, errors)
        _require_size(info, LARGEST_MEMBER if info.type in _CONTENTS else _LARGEST_HEADER)
        return info


class _Limited:
    """A stream that raises ArchiveError once more than LARGEST_TOTAL bytes have been read from it."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream, self._left = stream, LARGEST_TOTAL

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveError(f"it unpacks to more than {LARGEST_TOTAL} bytes")
        return data


def read_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield every member in archive order with its content, which is empty unless it is a plain, non-sparse file.

    Raise ArchiveError if the archive is damaged or exceeds the limits above.
    """
    try:
        with gzip.open(path) as packed:
            limited = _Limited(packed)
            with tarfile.open(fileobj=limited, mode="r|", tarinfo=_Member) as tar:  # type: ignore[call-overload]
                for number, info in enumerate(tar):
                    _require_number(number)
                    _require_size(info, LARGEST_MEMBER)  # again: a pax header may have changed the size
                    yield info, _content(tar, info)
                    tar.members.clear()  # tarfile would keep every header in memory
            while limited.read(_BLOCK):  # up to gzip's checksum at the end of the stream
                pass
    except ArchiveError as error:
        raise ArchiveError(f"{path.name} is refused: {error}") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, RecursionError) as error:
        raise ArchiveError(f"{path.name} is damaged: {error}") from error


def _require_size(info: tarfile.TarInfo, largest: int) -> None:
    if info.size > largest:
        raise ArchiveError(f"its member {info.name[:80]!r} has {info.size} bytes; the limit is {largest}")


def _require_number(number: int) -> None:
    if number == _MOST_MEMBERS:
        raise ArchiveError(f"it has more than {_MOST_MEMBERS} members")


def is_plain_file(info: tarfile.TarInfo) -> bool:
    """Return whether a member is a regular file that is stored in full, that is, not sparse."""
    return info.isreg() and not info.issparse()


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(info) if is_plain_file(info) else None
    return stream.read() if stream else b""
