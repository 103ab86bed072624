"""The manifest of an installed version, which shows modified files, and the comparison of a file with its release."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress

from stigmer_launcher.install.payload import FileEntry, Keg

VERSION_FILE = ".version"
MANIFEST_FILE = ".manifest"


def fingerprint_at(path: str) -> int | None:
    """Return the fingerprint of the file at a path without reading it; None when it is missing."""
    with suppress(OSError):
        return fingerprint_of(os.lstat(path))
    return None


def fingerprint_of(status: os.stat_result) -> int:
    """Return a number that changes with any write, replacement or chmod; integers hash alike in every process."""
    return hash((status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode))


def modified_files(directory: str, manifest: Mapping[str, int]) -> set[str]:
    """Return the files that differ from the manifest: missing, replaced, written to, or chmodded. Reads no content."""
    return {path for path, known in manifest.items() if fingerprint_at(f"{directory}/{path}") != known}


def read_manifest(directory: str) -> dict[str, int]:
    """Return each file's fingerprint by path; empty without a complete manifest of this version: then no file is trusted."""
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        with open(os.path.join(directory, MANIFEST_FILE), encoding="utf-8") as stream:
            manifest = json.load(stream)[os.path.basename(directory)]
        return manifest if isinstance(manifest, dict) and VERSION_FILE in manifest else {}
    return {}


def write_manifest(directory: str, keg: Keg, fingerprints: Mapping[str, int]) -> None:
    """Write the version and the manifest. Its format is JSON because a part of it, after a power loss, cannot be parsed."""
    version = os.path.join(directory, VERSION_FILE)
    with open(version, "x", encoding="utf-8") as stream:
        stream.write(f"{keg.payload.version}\n")
    whole = {**fingerprints, VERSION_FILE: fingerprint_of(os.lstat(version))}
    with open(os.path.join(directory, MANIFEST_FILE), "x", encoding="utf-8") as stream:
        stream.write(json.dumps({keg.id: whole}))


def visible_flaw(status: os.stat_result, entry: FileEntry) -> str:
    """Say what is wrong with a file by its status, in words that follow its name; empty when nothing is."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if entry.mode & 0o111 and not status.st_mode & 0o111:
        return "has lost its permission to execute"
    return "" if status.st_size == entry.size else f"has {status.st_size} bytes instead of {entry.size}"


def flaw(path: str, entry: FileEntry, *, deep: bool = True) -> str:
    """Say what is wrong with a file, with `deep` also its content; empty when it is as released."""
    try:
        if found := visible_flaw(os.lstat(path), entry):
            return found
        return "" if not deep or sha256_of(path) == entry.sha256 else "does not have the released content"
    except OSError as error:
        return f"cannot be read: {error.strerror}" if os.path.lexists(path) else "is missing"


def sha256_of(path: str) -> str:
    """Return a file's sha256 in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_relocated(path: str) -> bool:
    """Return whether an ELF file in a Cellar was given its prefix's loader or libraries by Homebrew before 5.1.15."""
    prefix, cellar, _ = path.partition("/Cellar/")
    if not cellar or os.uname().sysname != "Linux":
        return False
    with suppress(OSError), open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF" and f"{prefix}/lib".encode() in stream.read()
    return False
