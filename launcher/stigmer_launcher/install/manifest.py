"""The files of a keg, and the manifest of an installation, which shows quickly whether files were modified."""

import hashlib
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.install.payload import FileEntry, Payload, parse_payload

VERSION_FILE = ".version"
MANIFEST_FILE = ".stamp"
_FORMAT = 2


class Keg(NamedTuple):
    """One installed version: where its libexec is, its id (version and 12 hex digits of the index), its index."""

    libexec: str
    id: str
    payload: Payload

    @property
    def components(self) -> str:
        """Return the directory of the components' files."""
        return f"{self.libexec}/components"

    def source(self, path: str) -> str:
        """Return the place of a file of the components in the keg."""
        return f"{self.libexec}/components/{path}"


class Fingerprint(NamedTuple):
    """Cheap identification of a file: any write, replacement or chmod changes one of these."""

    size: int
    modified: int  # nanoseconds
    inode: int
    mode: int


class InstallManifest(NamedTuple):
    """State of a version's directory after its installation: SHA-256 and fingerprint of each file, by path."""

    id: str
    method: str
    files: Mapping[str, tuple[str, Fingerprint]]


def read_keg(libexec: str) -> Keg:
    """Read the keg's index; KegError when it is missing or damaged."""
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


def fingerprint(path: str) -> Fingerprint | None:
    """Look at a file; None when it is missing or not a regular file."""
    try:
        return fingerprint_of(os.lstat(path))
    except OSError:
        return None


def fingerprint_of(status: os.stat_result) -> Fingerprint | None:
    """Return what identifies a file that somebody has looked at; None when it is not a regular file."""
    if not stat.S_ISREG(status.st_mode):
        return None
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode & 0o7777)


def modified_files(directory: str, manifest: InstallManifest) -> tuple[str, ...]:
    """List the files that differ from the manifest: missing, replaced, written to, or chmodded. Reads no content."""
    return tuple(path for path, (_, known) in manifest.files.items() if fingerprint(f"{directory}/{path}") != known)


def render_manifest(manifest: InstallManifest) -> str:
    """Render a manifest: format, id, method and number of files, then a line for each file, its path last."""
    rows = [f"{size} {time} {inode} {mode} {sha256 or '-'} {path}"
            for path, (sha256, (size, time, inode, mode)) in manifest.files.items()]  # fmt: skip
    return "\n".join((f"{_FORMAT} {manifest.id} {manifest.method} {len(rows)}", *rows)) + "\n"


def read_manifest(directory: str) -> InstallManifest | None:
    """Read the manifest; None when it is missing or incomplete: then no file in the directory is trusted."""
    try:
        with open(os.path.join(directory, MANIFEST_FILE), encoding="utf-8") as stream:
            head, *rows, end = stream.read().split("\n")
        kind, version, method, count = head.split(" ")
        if (kind, count, end) != (str(_FORMAT), str(len(rows)), ""):
            return None
        return InstallManifest(version, method, dict(map(_parse_row, rows)))
    except (OSError, ValueError):
        return None


def _parse_row(row: str) -> tuple[str, tuple[str, Fingerprint]]:
    size, time, inode, mode, sha256, path = row.split(" ", 5)
    return path, (sha256.strip("-"), Fingerprint(int(size), int(time), int(inode), int(mode)))
