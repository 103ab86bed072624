"""Tar archives in gzip whose bytes depend on their members alone.

What is promised: equal members, an equal time and level give equal bytes with the same libdeflate, whatever the
machine, the user, the clock or the order in which the file system lists a folder. Another libdeflate may compress to
other bytes of the same content; `requirements.lock` pins it.

Formats: POSIX.1-1988 ustar; a pax header (POSIX.1-2001) only for a member that ustar cannot name; gzip (RFC 1952)
without name and time.
"""

import gzip
import mmap
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import deflate

from stigmer_packaging.lib.errors import ArchiveError
from stigmer_packaging.lib.unpacking import unpack_tree
from stigmer_packaging.records.model import FileRecord

LEVEL = 10
"""libdeflate's level for what users download: the best but for 0.2 %, in half of the time (packaging/SIZE.md)."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One member: a file when it has a `source`, a symbolic link when it has a `link`, else a directory."""

    name: str
    source: Path | None = None
    link: str = ""
    executable: bool = False


def keg_members(
    prefix: str, root: Path, files: Sequence[FileRecord], links: Sequence[tuple[str, str]]
) -> Iterator[Member]:
    """List a keg's members below `prefix`: its folders, from `prefix` itself on, its files and its links."""
    yield from folders(prefix, [entry.path for entry in files] + [path for path, _ in links])
    for entry in files:
        yield Member(f"{prefix}/{entry.path}", root / entry.path, executable=bool(entry.mode & 0o100))
    for path, goal in links:
        yield Member(f"{prefix}/{path}", link=goal)


def folders(prefix: str, paths: Sequence[str]) -> Iterator[Member]:
    """List the folders of the named paths below `prefix`, and `prefix` itself."""
    found = {prefix}
    for path in paths:
        parts = path.split("/")[:-1]
        found |= {"/".join((prefix, *parts[:depth])) for depth in range(1, len(parts) + 1)}
    yield from map(Member, found)


def write_archive(archive: Path, members: Iterable[Member], *, mtime: int, level: int = LEVEL) -> None:
    """Write the members, every directory before what is in it, owned by uid and gid 0, all of the same time.

    Modes are 0755 for directories and executables, else 0644. `mtime` is in seconds since 1970; `level`, libdeflate's
    from 1 to 12. The tar lies beside the archive meanwhile; memory is needed for the compressed bytes, twice.
    """
    ordered = sorted(members, key=lambda member: member.name.split("/"))
    plain = archive.with_name(f"{archive.name}.tar")
    try:
        with plain.open("w+b") as raw:
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for member in ordered:
                    _add(tar, member, mtime)
            raw.flush()
            with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
                archive.write_bytes(deflate.gzip_compress(content, level))
    finally:
        plain.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, member: Member, mtime: int) -> None:
    info = tarfile.TarInfo(member.name)
    info.mtime = mtime
    if member.source is not None:
        info.size = member.source.stat().st_size
        info.mode = 0o755 if member.executable else 0o644
        with member.source.open("rb") as content:
            tar.addfile(info, content)
        return
    info.type = tarfile.SYMTYPE if member.link else tarfile.DIRTYPE
    info.linkname = member.link
    info.mode = 0o777 if member.link else 0o755
    tar.addfile(info)


def unpack_archive(archive: Path, place: Path) -> None:
    """Unpack below `place` as brew's pour does: modes kept but for setuid and others' write, owners dropped.

    Raise ArchiveError for a damaged archive, and for a member that would be written outside `place`.
    """
    place.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(archive) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as tar:
                unpack_tree(tar, place)
            while packed.read(_BLOCK):  # gzip's checksum stands at the very end
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(f"{archive.name} is damaged: {error}") from error
