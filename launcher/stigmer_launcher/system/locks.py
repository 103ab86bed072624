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
from stigmer_launcher.system.places import unwritable

if sys.platform == "darwin":
    _FLOCK, _TYPE, _PID = "qqihh", 3, 2  # start, length, pid, type, whence
else:
    _FLOCK, _TYPE, _PID = "hhqqi4x", 0, 4  # type, whence, start, length, pid; 64 bit
_PAUSE = 0.01  # seconds between two tries
# (device, inode) -> the pid that holds it: a fork inherits this table, but not the locks.
_held: dict[tuple[int, int], int] = {}


class Lock:
    """An exclusive lock, held until `release` or the end of the process; its file is open for reading and writing."""

    def __init__(self, descriptor: int, key: tuple[int, int]) -> None:
        self.descriptor, self._key = descriptor, key
        _held[key] = os.getpid()

    def release(self) -> None:
        """Release the lock; repeated calls do nothing."""
        if _held.pop(self._key, None) is not None:
            os.close(self.descriptor)

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
        key = _key(os.fstat(descriptor))
        with suppress(OSError):
            if key == _key(os.stat(path)):
                return Lock(descriptor, key)
        os.close(descriptor)  # the file was replaced before we locked it
    return None


def wait(path: str, seconds: float, notify: Callable[[int], None] = lambda _: None) -> Lock:
    """Acquire the lock within `seconds`; `notify` is called with the pid of each holder that is waited for."""
    deadline = time.monotonic() + seconds
    notified = 0
    while (lock := hold(path)) is None:
        pid = holder(path)
        if pid not in (0, notified):
            notify(notified := pid)
        if time.monotonic() > deadline:
            raise BusyError(f"process {pid} has held {path} for {seconds:g} s")
        time.sleep(_PAUSE)
    return lock


def holder(path: str) -> int:
    """Return the pid of the process that holds the lock, 0 when it is free. Touches and creates nothing.

    HiddenHolderError when it is held and the kernel cannot name the holder by a pid that is valid here: it answers -1 for
    an open file description's lock and for some network file systems, 0 for a process of another pid namespace. Neither
    may ever reach kill(2), where 0 and -1 mean a group and everybody.
    """
    if is_ours(path):
        return os.getpid()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise _unwritable(path) from error
    question = [0] * 5  # the whole file
    question[_TYPE] = fcntl.F_RDLCK  # an exclusive lock stands in its way, and it may be asked for without writing
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(_FLOCK, *question))
    except OSError as error:
        raise _without_locks(path, error) from error
    finally:
        os.close(descriptor)
    found = struct.unpack(_FLOCK, answer)
    if found[_TYPE] == fcntl.F_UNLCK:
        return 0
    if found[_PID] <= 0:
        raise HiddenHolderError(f"{path} is locked by a process that cannot be seen from here")
    return int(found[_PID])


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


def _unwritable(path: str) -> HomeError:
    """Explain a lock in the home's directory `run` that cannot be opened."""
    directory = os.path.dirname(path)
    return unwritable(path if os.path.exists(path) else directory, os.path.dirname(directory))


def _without_locks(path: str, error: OSError) -> HomeError:
    return HomeError(
        f"the file system of {os.path.dirname(path)} has no locks: {error.strerror}",
        "put it on a local disk: set STIGMER_HOME to a directory there",
    )


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
