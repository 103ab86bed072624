"""Checks before an installation and a start: the machine, the keg's programs, and the file system of the home."""

import errno
import os
import sys
from collections.abc import Iterable

from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.system.machine import binary_target, this_target
from stigmer_launcher.system.places import ANOTHER_DISK

_RESERVE = 1 << 20  # bytes for directories and the manifest
START_SPACE = 3 << 20  # bytes for the databases and logs of a first start


def require_exec(directory: str) -> None:
    """Raise HomeError when the file system of `directory` forbids executing files."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        forbidden = darwin.is_noexec(directory)
    else:
        forbidden = bool(os.statvfs(directory).f_flag & os.ST_NOEXEC)
    if forbidden:
        remedy = f"mount it without noexec, {ANOTHER_DISK}"
        raise HomeError(f"{directory} is on a file system mounted noexec: programs there cannot be started", remedy)


def require_symlinks(directory: str) -> None:
    """Raise HomeError when the file system of `directory` has no symbolic links, like FAT and exFAT."""
    try:
        os.symlink("target", link := f"{directory}/.link-{os.getpid()}")
        os.unlink(link)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            remedy = "set STIGMER_HOME to a directory on another file system, such as ext4 or APFS"
            raise HomeError(f"{directory} is on a file system without symbolic links", remedy) from error


def require_space(directory: str, needed: int, purpose: str) -> None:
    """Raise HomeError when fewer bytes are free for this user than are `needed` for a `purpose`, and a reserve."""
    free, needed = free_space(directory), needed + _RESERVE
    if free < needed:
        text = f"{directory} has {free >> 20} MB free, and {purpose} need {-(-needed >> 20)} MB"
        raise HomeError(text, f"free some space there, {ANOTHER_DISK}")


def free_space(directory: str) -> int:
    """Return the bytes that this user can still write to the file system of `directory`."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def require_target(target: str) -> None:
    """Raise KegError when the keg's target is not that of this machine."""
    if target != (here := this_target()):
        remedy = f"run `brew reinstall stigmer` with a Homebrew for {here}, or unpack the archive for it"
        raise KegError(f"this Stigmer is built for {target}, and this machine is {here}", remedy)


def require_native(programs: Iterable[str], target: str) -> None:
    """Raise KegError when a program is built for another target; scripts run on any."""
    for path in programs:
        if (built_for := binary_target(path)) not in ("", target):
            raise KegError(f"{path} is built for {built_for}, and this machine is {target}")
