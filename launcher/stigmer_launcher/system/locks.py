"""Locks between processes, and their holders: POSIX record locks, which the kernel releases when a process ends.

A lock file is never removed, and its content is not used. A process that closes *any* descriptor of a lock file loses the
lock, so only this module opens lock files, and never one whose lock this process holds.
Source: fcntl(2) on Linux and macOS, `struct flock` of both.
"""

import errno
import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from stigmer_launcher.errors import BusyError, HomeError
from stigmer_launcher.system.places import explain, unwritable

if sys.platform == "darwin":
    _FLOCK, _TYPE, _PID = "qqihh", 3, 2  # start, length, pid, type, whence
else:
    _FLOCK, _TYPE, _PID = "hhqqi4x", 0, 4  # type, whence, start, length, pid; 64 bit
_POLL_INTERVAL = 0.01  # seconds


class Lock(AbstractContextManager["Lock"]):
    """An exclusive lock, held until `release` or the end of the process; `status` is that of its file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self.status = descriptor, os.fstat(descriptor)
        _held.add(self)

    def release(self) -> None:
        """Release the lock; repeated calls do nothing."""
        if self in _held:
            _held.remove(self)
            os.close(self._descriptor)

    def __exit__(self, *_: object) -> None:
        self.release()


_held: set[Lock] = set()
os.register_at_fork(after_in_child=_held.clear)  # a child inherits this set, but not the locks


def is_ours(path: str, *, default: bool = False) -> bool:
    """Return whether this process holds the lock of the file that is at the path now, `default` if that cannot be found out."""
    try:
        found = os.stat(path)  # opens nothing
    except OSError as error:
        return default and error.errno not in (errno.ENOENT, errno.ENOTDIR)
    return any(os.path.samestat(found, lock.status) for lock in _held)


def try_acquire(path: str) -> Lock | None:
    """Acquire the lock without waiting; None when a process holds it, HomeError when the file cannot be locked."""
    while not is_ours(path):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return None
            raise _unusable(path, error) from error
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return Lock(descriptor)
        os.close(descriptor)  # the file was replaced before we locked it
    return None


def acquire(path: str, seconds: float, report: Callable[[str], None] = lambda _: None, doing: str = "") -> Lock:
    """Acquire the lock; before that, wait as `await_end` does for each process that holds it; BusyError after `seconds`."""
    deadline = time.monotonic() + seconds
    while (lock := try_acquire(path)) is None:
        waited = await_end(lambda: holder(path), seconds, report, doing or f"holds {path}")
        if not waited and time.monotonic() > deadline:
            raise BusyError(f"{path} has been locked for {seconds:g} s")
        time.sleep(_POLL_INTERVAL)
    return lock


def await_end(find: Callable[[], int], seconds: float, report: Callable[[str], None], doing: str) -> bool:
    """Wait until `find` returns no pid, and `report` each with what it is `doing`; False if none, BusyError after `seconds`."""
    deadline, reported = time.monotonic() + seconds, 0
    while pid := find():
        if pid != reported:
            report(f"Waiting for process {pid}, which {doing}")
            reported = pid
        if time.monotonic() > deadline:
            raise BusyError(f"process {pid}, which {doing}, has not finished within {seconds:g} s")
        time.sleep(_POLL_INTERVAL)
    return reported != 0


def holder(path: str) -> int:
    """Return the pid of the process that holds the lock, 0 when it is free. Changes and creates nothing.

    HomeError when the holder has no pid here: the kernel returns -1 for an open file description lock and on some
    network file systems, and 0 for a process of another pid namespace. Neither must reach kill(2), where 0 means a process
    group and -1 all processes. One in a container has a pid here, but records the pids of its own namespace.
    """
    if is_ours(path):
        return os.getpid()
    query = [0] * 5  # the whole file
    query[_TYPE] = fcntl.F_RDLCK  # conflicts with an exclusive lock, and needs no permission to write
    try:
        with open(path, "rb", buffering=0) as file:
            found = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, *query)))
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise _unusable(path, error) from error
    if found[_TYPE] == fcntl.F_UNLCK:
        return 0
    is_elsewhere = found[_PID] <= 0
    with suppress(OSError), open(f"/proc/{found[_PID]}/status", "rb") as status:  # NSpid: one pid per namespace
        is_elsewhere = any(len(line.split()) > 2 for line in status if line.startswith(b"NSpid:"))
    if is_elsewhere:
        remedy = "run the command where Stigmer was started (container or machine), or set another STIGMER_HOME"
        raise HomeError(f"{path} is locked by a process that cannot be seen from here", remedy)
    return int(found[_PID])


def _unusable(path: str, error: OSError) -> HomeError:
    """Return the error for a lock file in the home's `run` that cannot be opened or, when `error` names no file, locked."""
    directory = os.path.dirname(path)
    if error.filename is None:
        problem = f"the file system of {directory} does not support locks: {error.strerror}"
        return HomeError(problem, "set STIGMER_HOME to a directory on a local disk")
    if isinstance(error, PermissionError):
        return unwritable(path, os.path.dirname(directory))
    return explain(error, directory)
