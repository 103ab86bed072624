"""A bottle's file, read as a stream: nothing of it is written to disk.

Sources: gzip's header (RFC 1952); tar as tarfile reads it.
"""

import gzip
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.errors import ArchiveError

_BLOCK = 1 << 20
_HAS_EXTRA, _HAS_NAME = 4, 8


@dataclass(frozen=True)
class GzipHeader:
    """What gzip wrote down of its input: name and time (seconds since 1970), empty and 0 when it was told not to."""

    name: str
    mtime: int


def read_gzip_header(path: Path) -> GzipHeader:
    """Read the header; ArchiveError when the file is not gzip."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if len(head) < 10 or head[:2] != b"\x1f\x8b":
        raise ArchiveError(
            f"{path.name} is not compressed with gzip", "pack it with gzip: every machine can unpack that"
        )
    flags, mtime = head[3], int.from_bytes(head[4:8], "little")
    start = 10 + (2 + struct.unpack_from("<H", head, 10)[0] if flags & _HAS_EXTRA else 0)
    name = head[start:].split(b"\0")[0].decode("latin-1") if flags & _HAS_NAME else ""
    return GzipHeader(name, mtime)


def read_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Give every member as it comes, a file with its content; ArchiveError when the archive is damaged."""
    try:
        with gzip.open(path) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as tar:
                for info in tar:
                    stream = tar.extractfile(info) if info.isreg() else None
                    yield info, stream.read() if stream else b""
            while packed.read(_BLOCK):  # gzip's checksum stands at the very end
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(f"{path.name} is damaged: {error}") from error
