"""Reproduces a file the cheapest way the file system supports: clone, hard link, or copy.

Each function makes `target`, which must not exist, whole or not at all, and raises OSError when it cannot. A clone and
a link are there at once; what is copied is on disk when the function returns, so that a later power cut cannot leave a
file of the right size with nothing in it. Sources: ioctl_ficlone(2), clonefile(2), link(2), copy_file_range(2).
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FICLONE = 0x40049409
_CHUNK = 1 << 30  # bytes asked of the kernel at once

# Errors after which the next method is tried. EPERM: fs.protected_hardlinks, and exFAT.
NOT_HERE = frozenset(
    number
    for name in ("EXDEV", "EPERM", "EACCES", "EMLINK", "EOPNOTSUPP", "ENOTSUP", "ENOTTY", "EINVAL", "ENOSYS", "ETXTBSY")
    if (number := getattr(errno, name, None)) is not None
)

Method = Callable[[str, str, int], None]
Methods = tuple[tuple[str, Method], ...]


def clone(source: str, target: str, mode: int) -> None:
    """Make `target` share the blocks of `source` until one of them is written to."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        darwin.clone(source, target)
        os.chmod(target, mode)
    else:
        import fcntl

        with _opened(source, target, mode) as (reader, writer):
            fcntl.ioctl(writer, _FICLONE, reader)


def link(source: str, target: str, mode: int) -> None:  # noqa: ARG001 - the inode is the source's, and so is its mode
    """Make `target` a hard link to the same file: a write to one changes both."""
    os.link(source, target)


def copy(source: str, target: str, mode: int) -> None:
    """Make `target` a file of its own, and flush it to disk."""
    with _opened(source, target, mode) as (reader, writer):
        _transfer(reader, writer)
        os.fsync(writer)


METHODS: Methods = (("clone", clone), ("link", link), ("copy", copy))


def reproduce(source: str, target: str, mode: int, methods: Methods = METHODS) -> str:
    """Make `target` by the first of `methods` that works here, and name that one."""
    for name, method in methods[:-1]:
        try:
            method(source, target, mode)
        except OSError as error:
            if error.errno not in NOT_HERE:
                raise
        else:
            return name
    name, method = methods[-1]
    method(source, target, mode)
    return name


def starting_with(name: str, methods: Methods = METHODS) -> Methods:
    """Leave out the methods before `name`: they are known not to work here."""
    names = [each for each, _ in methods]
    return methods[names.index(name) :] if name in names else methods


def possible(descriptor: int, methods: Methods = METHODS) -> Methods:
    """Leave out cloning where the file system of an open file does not support it.

    The file is cloned onto itself, which changes nothing: a file system with clones accepts that or refuses the overlap.
    """
    if sys.platform != "darwin" and methods[0] == METHODS[0]:
        import fcntl

        try:
            fcntl.ioctl(descriptor, _FICLONE, descriptor)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY):
                return methods[1:]
    return methods


@contextmanager
def _opened(source: str, target: str, mode: int) -> Iterator[tuple[int, int]]:
    """Open a source for reading and its new target for writing; remove the target when an error ends the `with`."""
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(writer, mode)  # whatever the umask took away
            yield reader, writer
        except BaseException:
            os.unlink(target)
            raise
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _transfer(reader: int, writer: int) -> None:
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(reader, writer, _CHUNK):
                pass
        except OSError as error:
            if error.errno not in NOT_HERE:
                raise
        else:
            return
        os.lseek(reader, os.lseek(writer, 0, os.SEEK_CUR), os.SEEK_SET)
    while chunk := os.read(reader, 1 << 20):
        while chunk:
            chunk = chunk[os.write(writer, chunk) :]


@contextmanager
def opened_directory(path: str) -> Iterator[int]:
    """Open a directory, below which files can be named without its path."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
