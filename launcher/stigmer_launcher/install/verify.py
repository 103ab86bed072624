"""Verifies files against the release: type, permission and size by a look, content by its SHA-256."""

import hashlib
import os
import stat

from stigmer_launcher.install.payload import FileEntry


def visible_flaw(status: os.stat_result, entry: FileEntry) -> str:
    """Say what a look at a file shows to be wrong with it, in words that follow its name; empty when nothing."""
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if entry.mode & 0o111 and not status.st_mode & 0o111:
        return "has lost its permission to execute"
    return "" if status.st_size == entry.size else f"has {status.st_size} bytes instead of {entry.size}"


def flaw(path: str, entry: FileEntry) -> str:
    """Say what is wrong with a file, its content included; empty when it is what was released."""
    try:
        if found := visible_flaw(os.lstat(path), entry):
            return found
        return "" if sha256_of(path) == entry.sha256 else "has another content than was released"
    except OSError as error:
        return f"cannot be read: {error.strerror}" if os.path.lexists(path) else "is missing"


def is_relocated(path: str) -> bool:
    """Return whether an ELF file in a Cellar was given its prefix's loader or libraries by Homebrew.

    Homebrew before 5.1.15 patches every dynamic ELF file on Linux, whatever the bottle says.
    """
    prefix, cellar, _ = path.partition("/Cellar/")
    if not cellar or os.uname().sysname != "Linux":
        return False
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == b"\x7fELF" and f"{prefix}/lib".encode() in stream.read()
    except OSError:
        return False


def sha256_of(path: str) -> str:
    """Return a file's sha256 in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
