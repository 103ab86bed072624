"""Reproduces a file the cheapest way the file system supports: clone, hard link, or copy.

Each function makes `target`, which must not exist, completely or not at all, and raises OSError when it cannot. Clones
and links are atomic; a copy is on disk when the function returns, so that a later power loss cannot leave a file of the
right size without its content. Sources: ioctl_ficlone(2), clonefile(2), link(2).
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EACCES, EINVAL, EMLINK, ENOSYS, ENOTSUP, ENOTTY, EOPNOTSUPP, EPERM, ETXTBSY, EXDEV
from typing import BinaryIO

_FICLONE = 0x40049409
_CHUNK = 1 << 20  # bytes

# Errors after which the next method is tried. EPERM: fs.protected_hardlinks, and exFAT.
_UNSUPPORTED = {EXDEV, EPERM, EACCES, EMLINK, EOPNOTSUPP, ENOTSUP, ENOTTY, EINVAL, ENOSYS, ETXTBSY}

Methods = tuple[Callable[[str, str, int], None], ...]


def clone(source: str, target: str, mode: int) -> None:
    """Make `target` share the blocks of `source` until one of them is written to."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        darwin.clone(source, target)
        os.chmod(target, mode)
    else:
        with _opened(source, target, mode) as (reader, writer):
            fcntl.ioctl(writer, _FICLONE, reader.fileno())


def link(source: str, target: str, mode: int) -> None:  # noqa: ARG001 - the inode is the source's, and so is its mode
    """Make `target` a hard link to the same file: a write to one changes both."""
    os.link(source, target)


def copy(source: str, target: str, mode: int) -> None:
    """Make `target` a file of its own, and flush it to disk."""
    with _opened(source, target, mode) as (reader, writer):
        while chunk := reader.read(_CHUNK):
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())


METHODS: Methods = (clone, link, copy)


def reproduce(source: str, target: str, mode: int, methods: Methods) -> Methods:
    """Make `target` by the first of `methods` that works here; return that one and those after it."""
    try:
        methods[0](source, target, mode)
    except OSError as error:
        if not methods[1:] or error.errno not in _UNSUPPORTED:
            raise
        return reproduce(source, target, mode, methods[1:])
    return methods


@contextmanager
def _opened(source: str, target: str, mode: int) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open `source` for reading and a new `target` for writing; remove the target when the block raises."""
    with open(source, "rb") as reader, open(target, "xb") as writer:
        try:
            os.fchmod(writer.fileno(), mode)  # the umask may have removed bits
            yield reader, writer
        except BaseException:
            os.unlink(target)
            raise
