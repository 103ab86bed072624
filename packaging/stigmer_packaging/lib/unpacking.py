"""Unpack third-party archives: a single executable, or the whole tree."""

import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from stigmer_packaging.lib.errors import SourceError

_BLOCK = 1 << 20
_UNREADABLE = (EOFError, RuntimeError, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, zlib.error)
"""Exceptions of zipfile and tarfile; RuntimeError means an encrypted file or an unknown compression."""


def extract_executable(file: Path, member: str, destination: Path) -> None:
    """Extract a member of a tar or zip archive as an executable; if `member` is empty, copy the file itself.

    `member` is the path in the archive; a leading `./` in a tar archive is ignored. SourceError if the member is
    missing or cannot be read.
    """
    try:
        if not member:
            shutil.copyfile(file, destination)
        elif zipfile.is_zipfile(file):
            _from_zip(file, member, destination)
        else:
            _from_tar(file, member, destination)
    except _UNREADABLE as error:
        raise SourceError(f"the archive is damaged or uses an unsupported format: {error}") from error
    destination.chmod(0o755)


def unpack_tree(tar: tarfile.TarFile, folder: Path, is_wanted: Callable[[str], bool] = bool) -> None:
    """Unpack the wanted files, folders and links, owned by the current user, without setuid bits and others' write.

    `is_wanted` is called with each name, without a leading `./`. Raise tarfile.ReadError for a member that would be
    written outside `folder` or through a link. tarfile's own filters are not used, because Pythons before 3.11.4, such
    as Debian 12's, do not have them.
    """
    tar.extraction_filter = _as_it_is
    tar.extractall(folder, members=_admitted(tar, folder.resolve(), is_wanted))  # noqa: S202 - each member is checked


def _as_it_is(info: tarfile.TarInfo, _place: str) -> tarfile.TarInfo:
    return info


def _admitted(tar: tarfile.TarFile, folder: Path, is_wanted: Callable[[str], bool]) -> Iterator[tarfile.TarInfo]:
    """Yield each member to write, checked right before it is written, when earlier links already exist on disk."""
    for info in tar:
        if info.name == "." or info.isdev() or not is_wanted(info.name.removeprefix("./")):
            continue
        for name in (info.name, info.linkname) if info.islnk() else (info.name,):
            place = folder / name
            if ".." in place.parts or not place.parent.resolve().is_relative_to(folder):
                raise tarfile.ReadError(f"{name} would be written outside the destination")
        if info.isreg() and (folder / info.name).is_symlink():
            raise tarfile.ReadError(f"{info.name} would be written through a link")
        info.mode &= 0o755
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        yield info


def _from_zip(file: Path, member: str, destination: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        if member not in archive.namelist():
            raise SourceError(f"the archive has no member {member}; it contains {_some(archive.namelist())}")
        with archive.open(member) as stream:
            _write(stream, destination)


def _from_tar(file: Path, member: str, destination: Path) -> None:
    try:
        with tarfile.open(file) as archive:
            found = {info.name.removeprefix("./"): info for info in archive.getmembers() if info.isfile()}
            if member not in found:
                raise SourceError(f"the archive has no member {member}; it contains {_some(list(found))}")
            if stream := archive.extractfile(found[member]):
                _write(stream, destination)
    except tarfile.ReadError as error:
        raise SourceError(f"cannot extract {member}: not a tar or zip archive: {error}") from error


def _write(stream: IO[bytes], destination: Path) -> None:
    with destination.open("wb") as copy:
        shutil.copyfileobj(stream, copy, _BLOCK)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
