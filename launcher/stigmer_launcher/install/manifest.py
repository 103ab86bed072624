"""The files of a keg, and the manifest of an installation, which shows quickly whether files were modified."""

import hashlib
import json
import os
import stat
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.install.payload import FileEntry, Payload, parse_payload

VERSION_FILE = ".version"
MANIFEST_FILE = ".stamp"

Fingerprints = dict[str, int]


class Keg(NamedTuple):
    """One installed version: where its libexec is, its id (version and 12 hex digits of the index), its index."""

    libexec: str
    id: str
    payload: Payload

    def source(self, path: str) -> str:
        """Return the place of a file of the components in the keg."""
        return f"{self.libexec}/components/{path}"


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
    """List every file of every component once."""
    return tuple({entry.path: entry for component in payload.components for entry in component.files}.values())


def fingerprint(path: str) -> int | None:
    """Look at a file, cheaply; None when it is missing or not a regular file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return fingerprint_of(status) if stat.S_ISREG(status.st_mode) else None


def fingerprint_of(status: os.stat_result) -> int:
    """Return a number that any write, replacement or chmod changes; integers hash alike in every process."""
    return hash((status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode))


def modified_files(directory: str, manifest: Fingerprints) -> set[str]:
    """Return the files that differ from the manifest: missing, replaced, written to, or chmodded. Reads no content."""
    return {path for path, known in manifest.items() if fingerprint(f"{directory}/{path}") != known}


def read_manifest(directory: str) -> Fingerprints:
    """Read each file's fingerprint by its path; empty without a whole manifest of this version: no file is trusted then."""
    try:
        with open(os.path.join(directory, MANIFEST_FILE), encoding="utf-8") as stream:
            manifest = json.load(stream)[os.path.basename(directory)]
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) and VERSION_FILE in manifest else {}


def render_manifest(keg: Keg, files: Fingerprints) -> str:
    """Return the manifest of the keg's version as JSON, which cannot be read when a power cut has left a part of it."""
    return json.dumps({keg.id: files})
