"""Locks between processes, and their holders: POSIX record locks, which the kernel releases when a process ends.

A lock file is never removed and its content means nothing. The trap of these locks: when a process closes *any*
descriptor of the file, its lock is gone. So this module alone opens lock files, and never one that this process holds.
Source: fcntl(2) on Linux and macOS, `struct flock` of both.
"""

import errno
import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from stigmer_launcher.errors import BusyError, HiddenHolderError, HomeError
from stigmer_launcher.system.home import unwritable

# Linux (64 bit): type, whence, start, length, pid; macOS: start, length, pid, type, whence.
_FLOCK = "qqihh" if sys.platform == "darwin" else "hhqqi4x"
_PAUSE = 0.01  # seconds between two tries
# (device, inode) -> the pid that holds it: a fork inherits this table, but not the locks.
_held: dict[tuple[int, int], int] = {}


class Lock:
    """An exclusive lock, held until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._key = _key(os.fstat(descriptor))
        _held[self._key] = os.getpid()

    def release(self) -> None:
        """Release the lock; repeated calls do nothing."""
        if _held.pop(self._key, None) is not None:
            os.close(self._descriptor)

    def fileno(self) -> int:
        """Return the lock file's descriptor, open for reading and writing."""
        return self._descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_ours(path: str) -> bool:
    """Return whether this process holds the lock of the file that is at the path now; one look, nothing is opened."""
    with suppress(OSError):
        return _held.get(_key(os.stat(path))) == os.getpid()
    return False


def hold(path: str) -> Lock | None:
    """Acquire the lock without waiting; None when another process (or this one) holds it."""
    while not is_ours(path):
        descriptor = _open(path)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return None
            raise _without_locks(path, error) from error
        if _is_same(path, descriptor):
            return Lock(descriptor)
        os.close(descriptor)  # the file was replaced before we locked it
    return None


def wait(path: str, seconds: float, notify: Callable[[int], None] | None = None) -> Lock:
    """Acquire the lock within `seconds`; `notify` is called with the pid of each holder that is waited for."""
    deadline = time.monotonic() + seconds
    notified = 0
    while (lock := hold(path)) is None:
        pid = holder(path)
        if notify and pid not in (0, notified):
            notified = pid
            notify(pid)
        if time.monotonic() > deadline:
            raise BusyError(f"process {pid} has held {path} for {seconds:g} s")
        time.sleep(_PAUSE)
    return lock


def holder(path: str) -> int:
    """Return the pid of the process that holds the lock, 0 when it is free. Touches and creates nothing.

    HiddenHolderError when it is held and the kernel cannot name the holder by a pid that is valid here.
    """
    if is_ours(path):
        return os.getpid()
    for mode, kind in ((os.O_RDWR, fcntl.F_WRLCK), (os.O_RDONLY, fcntl.F_RDLCK)):
        try:
            descriptor = os.open(path, mode | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError:
            continue
        try:
            return _query(path, descriptor, kind)
        finally:
            os.close(descriptor)
    raise _unwritable(path)


def _query(path: str, descriptor: int, kind: int) -> int:
    """Ask the kernel who holds the lock.

    It answers -1 for an open file description's lock and for some network file systems, 0 for a process of another pid
    namespace. Neither may ever reach kill(2), where 0 and -1 mean a group and everybody.
    """
    try:
        kind, pid = _get_lock(descriptor, kind)
    except OSError as error:
        raise _without_locks(path, error) from error
    if kind == fcntl.F_UNLCK:
        return 0
    if pid <= 0:
        raise HiddenHolderError(f"{path} is locked by a process that cannot be seen from here")
    return pid


def _get_lock(descriptor: int, kind: int) -> tuple[int, int]:
    """Return the type of the lock that stands in the way of `kind`, and the pid of its holder."""
    start, length, pid = 0, 0, 0
    if sys.platform == "darwin":
        request = struct.pack(_FLOCK, start, length, pid, kind, os.SEEK_SET)
        _, _, pid, kind, _ = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, request))
    else:
        request = struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, pid)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, request))
    return kind, pid


def _unwritable(path: str) -> HomeError:
    """Explain a lock in the home's directory `run` that cannot be opened."""
    directory = os.path.dirname(path)
    return unwritable(path if os.path.exists(path) else directory, os.path.dirname(directory))


def _without_locks(path: str, error: OSError) -> HomeError:
    return HomeError(
        f"the file system of {os.path.dirname(path)} has no locks: {error.strerror}",
        "put it on a local disk: set STIGMER_HOME to a directory there",
    )


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise _unwritable(path) from error
    except OSError as error:
        raise HomeError(
            f"cannot write {path}: {error.strerror}",
            "make that directory writable for you, or set STIGMER_HOME to one that is",
        ) from error


def _is_same(path: str, descriptor: int) -> bool:
    with suppress(OSError):
        return _key(os.stat(path)) == _key(os.fstat(descriptor))
    return False


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
