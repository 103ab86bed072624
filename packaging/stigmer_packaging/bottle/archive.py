"""Reproducible tar.gz archives, whose bytes depend only on their members.

Equal members, time and level give equal bytes with the same libdeflate, whatever the machine, the user, the clock or
the order in which the file system lists a folder. Another libdeflate may compress the same content to other bytes;
`requirements.lock` pins it.

Formats: POSIX.1-1988 ustar; a pax header (POSIX.1-2001) only for members that ustar cannot name; gzip (RFC 1952)
without name and time.
"""

import gzip
import mmap
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import deflate

from stigmer_packaging.lib.errors import ArchiveError
from stigmer_packaging.lib.unpacking import unpack_tree
from stigmer_packaging.records.model import FileRecord

LEVEL = 10
"""libdeflate's level for downloads: within 0.2 % of the best compression, in half of the time (packaging/SIZE.md)."""

_BLOCK = 1 << 20


class Member(NamedTuple):
    """A file if it has a `source`, else a symbolic link. Its name is a path below the archive's folder."""

    name: str
    source: Path | None = None
    link: str = ""
    executable: bool = False


def keg_members(root: Path, files: Sequence[FileRecord], links: Sequence[tuple[str, str]]) -> Iterator[Member]:
    """Yield the members of a keg in `root`: its files and its links."""
    for entry in files:
        yield Member(entry.path, root / entry.path, executable=bool(entry.mode & 0o100))
    for path, target in links:
        yield Member(path, link=target)


def write_archive(archive: Path, folder: str, members: Iterable[Member], *, mtime: int, level: int = LEVEL) -> None:
    """Write the members below `folder`, each after its parent folders, owned by uid and gid 0, all with the same time.

    Modes are 0755 for directories and executables, else 0644. `mtime` is in seconds since 1970; `level` is
    libdeflate's, from 1 to 12. The tar is temporarily beside the archive; the compressed bytes need memory twice.
    """
    by_path = {PurePosixPath(folder, member.name): member for member in members}
    folders = {place for path in by_path for place in path.parents if place.is_relative_to(folder)}
    plain = archive.with_name(f"{archive.name}.tar")
    try:
        with plain.open("w+b") as raw:
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for path in sorted({*by_path, *folders}):
                    _add(tar, tarfile.TarInfo(str(path)), by_path.get(path), mtime)
            raw.flush()
            with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
                archive.write_bytes(deflate.gzip_compress(content, level))
    finally:
        plain.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, info: tarfile.TarInfo, member: Member | None, mtime: int) -> None:
    info.mtime = mtime
    if member and member.source:
        info.size = member.source.stat().st_size
        info.mode = 0o755 if member.executable else 0o644
        with member.source.open("rb") as content:
            tar.addfile(info, content)
        return
    info.type = tarfile.SYMTYPE if member else tarfile.DIRTYPE
    info.linkname = member.link if member else ""
    info.mode = 0o777 if member else 0o755
    tar.addfile(info)


def unpack_archive(archive: Path, place: Path) -> None:
    """Unpack below `place` as brew does: modes kept except for setuid and others' write, owners dropped.

    Raise ArchiveError for a damaged archive, and for a member that would be written outside `place`.
    """
    place.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(archive) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as tar:
                unpack_tree(tar, place)
            while packed.read(_BLOCK):  # gzip verifies its checksum at the end of the stream
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(f"{archive.name} is damaged: {error}") from error
