"""Reproduces a file the cheapest way the file system supports: clone, hard link, or copy.

Each function makes `target`, which must not exist, whole or not at all, and raises OSError when it cannot. A clone and
a link are there at once; what is copied is on disk when the function returns, so that a later power cut cannot leave a
file of the right size with nothing in it. Sources: ioctl_ficlone(2), clonefile(2), link(2).
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
_NOT_HERE = {EXDEV, EPERM, EACCES, EMLINK, EOPNOTSUPP, ENOTSUP, ENOTTY, EINVAL, ENOSYS, ETXTBSY}

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
        if not methods[1:] or error.errno not in _NOT_HERE:
            raise
        return reproduce(source, target, mode, methods[1:])
    return methods


def possible(descriptor: int, methods: Methods) -> Methods:
    """Leave out cloning where the file system of an open file does not support it.

    The file is cloned onto itself, which changes nothing: a file system with clones accepts that or refuses the overlap.
    """
    if sys.platform != "darwin" and methods[0] is clone:
        try:
            fcntl.ioctl(descriptor, _FICLONE, descriptor)
        except OSError as error:
            if error.errno in (EOPNOTSUPP, ENOTTY):
                return methods[1:]
    return methods


@contextmanager
def _opened(source: str, target: str, mode: int) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a source for reading and its new target for writing; remove the target when an error ends the `with`."""
    with open(source, "rb") as reader, open(target, "xb") as writer:
        try:
            os.fchmod(writer.fileno(), mode)  # whatever the umask took away
            yield reader, writer
        except BaseException:
            os.unlink(target)
            raise
