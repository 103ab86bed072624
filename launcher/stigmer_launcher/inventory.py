"""What there is: the files a keg carries, and the stamp that tells in microseconds whether the home's are untouched."""

import json
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.payload import FileEntry, Payload, parse_payload

VERSION_FILE = ".version"
STAMP_FILE = ".stamp"
_FORMAT = 1


class Keg(NamedTuple):
    """One installed version: where its libexec is, its id (version and 12 hex digits of the index), its index."""

    libexec: str
    id: str
    payload: Payload

    @property
    def components(self) -> str:
        """Name the directory the files lie in."""
        return f"{self.libexec}/components"

    def source(self, path: str) -> str:
        """Give the place of a file of the components in the keg."""
        return f"{self.libexec}/components/{path}"


class Mark(NamedTuple):
    """What identifies a file cheaply: any write, replacement or chmod changes one of these."""

    size: int
    modified: int  # nanoseconds
    inode: int
    mode: int


class Stamp(NamedTuple):
    """How a version directory looked when it was whole: each file's sha256 and mark, by path."""

    id: str
    method: str
    files: Mapping[str, tuple[str, Mark]]


def read_keg(libexec: str) -> Keg:
    """Read the keg's index; KegError when it is missing or damaged."""
    import hashlib

    path = os.path.join(libexec, "payload.json")
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        payload = parse_payload(content.decode())
    except OSError as error:
        raise KegError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise KegError(f"{path} is damaged: {error}") from error
    return Keg(libexec, f"{payload.version}-{hashlib.sha256(content).hexdigest()[:12]}", payload)


def files_of(payload: Payload) -> tuple[FileEntry, ...]:
    """List every file of every component once, by path."""
    files = {entry.path: entry for component in payload.components for entry in component.files}
    return tuple(files[path] for path in sorted(files))


def mark(path: str) -> Mark | None:
    """Look at a file; None when it is missing or not a regular file."""
    try:
        return mark_of(os.lstat(path))
    except OSError:
        return None


def mark_of(status: os.stat_result) -> Mark | None:
    """Give what identifies a file that somebody has looked at; None when it is not a regular file."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return Mark(status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode & 0o7777)


def suspects(directory: str, stamp: Stamp) -> tuple[str, ...]:
    """Name the files that are not what the stamp says: gone, replaced, written to, or chmodded. Reads no content."""
    return tuple(path for path, (_, known) in stamp.files.items() if mark(f"{directory}/{path}") != known)


def render_stamp(stamp: Stamp) -> str:
    """Give the text of a stamp file."""
    rows = [(path, sha256, *seen) for path, (sha256, seen) in stamp.files.items()]
    return json.dumps({"format": _FORMAT, "id": stamp.id, "method": stamp.method, "files": rows})


def read_stamp(directory: str) -> Stamp | None:
    """Read the stamp; None when there is none, or it is not whole: then nothing in the directory is trusted."""
    try:
        with open(os.path.join(directory, STAMP_FILE), encoding="utf-8") as stream:
            plain = json.load(stream)
        if plain["format"] != _FORMAT:
            return None
        files = {path: (sha256, Mark(*seen)) for path, sha256, *seen in plain["files"]}
        return Stamp(plain["id"], plain["method"], files)
    except (OSError, ValueError, KeyError, TypeError):
        return None
