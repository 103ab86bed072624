"""One executable out of an archive, or the file itself where there is no archive."""

import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import IO

from stigmer_packaging.lib.errors import SourceError

_BLOCK = 1 << 20


def extract_executable(file: Path, member: str, destination: Path) -> None:
    """Write the member of a tar or zip archive, or the file itself when no member is named, as an executable.

    A member is named by its path in the archive, with or without a leading `./`. SourceError when it is not there.
    """
    if not member:
        shutil.copyfile(file, destination)
    elif zipfile.is_zipfile(file):
        _from_zip(file, member, destination)
    else:
        _from_tar(file, member, destination)
    destination.chmod(0o755)


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
