"""Archives of others: one executable of them, or the whole tree."""

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
"""What zipfile and tarfile raise; a RuntimeError is that of an encrypted file, or of an unknown compression."""


def extract_executable(file: Path, member: str, destination: Path) -> None:
    """Write the member of a tar or zip archive, or the file itself when no member is named, as an executable.

    A member is named by its path in the archive, with or without a leading `./`. SourceError when it is not there, or
    cannot be read.
    """
    try:
        if not member:
            shutil.copyfile(file, destination)
        elif zipfile.is_zipfile(file):
            _from_zip(file, member, destination)
        else:
            _from_tar(file, member, destination)
    except _UNREADABLE as error:
        raise SourceError(f"the archive is damaged, or packed in a way that is not known here: {error}") from error
    destination.chmod(0o755)


def unpack_tree(tar: tarfile.TarFile, folder: Path, is_wanted: Callable[[str], bool] = bool) -> None:
    """Unpack the wanted files, folders and links, owned by whoever we are, without setuid bits and others' write.

    `is_wanted` is asked with each name, without a leading `./`. Raise tarfile.ReadError for a member that would be
    written outside `folder`, or through a link. Pythons before 3.11.4 have no filters of their own: Debian 12's is one.
    """
    tar.extraction_filter = _as_it_is
    tar.extractall(folder, members=_admitted(tar, folder.resolve(), is_wanted))  # noqa: S202 - each member is checked


def _as_it_is(info: tarfile.TarInfo, _place: str) -> tarfile.TarInfo:
    return info


def _admitted(tar: tarfile.TarFile, folder: Path, is_wanted: Callable[[str], bool]) -> Iterator[tarfile.TarInfo]:
    """Give each member that is to be written, at the moment when it can be seen where it would be written."""
    for info in tar:
        if info.name == "." or info.isdev() or not is_wanted(info.name.removeprefix("./")):
            continue
        for name in (info.name, info.linkname) if info.islnk() else (info.name,):
            place = folder / name
            if ".." in place.parts or not place.parent.resolve().is_relative_to(folder):
                raise tarfile.ReadError(f"{name} would be outside")
        if info.isreg() and (folder / info.name).is_symlink():
            raise tarfile.ReadError(f"{info.name} would be written through a link")
        info.mode &= 0o755
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        yield info


def _from_zip(file: Path, member: str, destination: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        if member not in archive.namelist():
            raise SourceError(f"the archive has no member {member}; it holds {_some(archive.namelist())}")
        with archive.open(member) as stream:
            _write(stream, destination)


def _from_tar(file: Path, member: str, destination: Path) -> None:
    try:
        with tarfile.open(file) as archive:
            found = {info.name.removeprefix("./"): info for info in archive.getmembers() if info.isfile()}
            if member not in found:
                raise SourceError(f"the archive has no member {member}; it holds {_some(list(found))}")
            if stream := archive.extractfile(found[member]):
                _write(stream, destination)
    except tarfile.ReadError as error:
        raise SourceError(f"a member {member} was asked for, and this is no tar or zip archive: {error}") from error


def _write(stream: IO[bytes], destination: Path) -> None:
    with destination.open("wb") as copy:
        shutil.copyfileobj(stream, copy, _BLOCK)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
