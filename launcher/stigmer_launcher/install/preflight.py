"""Conditions checked before an installation. Each failure names the directory or file, and the remedy."""

import os
import sys
from collections.abc import Iterable

from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.system.machine import binary_target, this_target
from stigmer_launcher.system.places import ANOTHER_DISK

_RESERVE = 1 << 20  # bytes for directories and the stamp
_ROOM = 4 << 20  # bytes for the databases and logs of a first start


def require_exec(directory: str) -> None:
    """Raise HomeError when the file system of `directory` forbids to execute what lies there."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        forbidden = darwin.is_noexec(directory)
    else:
        forbidden = bool(os.statvfs(directory).f_flag & os.ST_NOEXEC)
    if forbidden:
        raise HomeError(
            f"{directory} is on a file system mounted noexec: programs there cannot be started",
            f"mount it without noexec, {ANOTHER_DISK}",
        )


def require_space(directory: str, needed: int) -> None:
    """Raise HomeError when fewer than `needed` bytes are free for this user."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < needed + _RESERVE:
        raise HomeError(
            f"{directory} has {free >> 20} MB free, and the components need {-(-(needed + _RESERVE) >> 20)} MB",
            f"free some space there, {ANOTHER_DISK}",
        )


def require_room(directory: str) -> None:
    """Raise HomeError when a start would fail in the midst of it: services make databases and logs there."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < _ROOM:
        raise HomeError(
            f"there is no space left in {directory}: {free >> 10} kB free, and a start needs {_ROOM >> 20} MB",
            f"free some space there, {ANOTHER_DISK}",
        )


def require_target(target: str) -> None:
    """Raise KegError when the keg is for another kind of machine."""
    here = this_target()
    if target != here:
        raise KegError(
            f"this Stigmer is built for {target}, and this machine is {here}",
            "install it with the Homebrew of this machine's architecture: `brew reinstall stigmer`",
        )


def require_native(programs: Iterable[str], target: str) -> None:
    """Raise KegError when a program is for another kind of machine than `target`; scripts run on any."""
    for path in programs:
        if (built_for := binary_target(path)) not in ("", target):
            raise KegError(f"{path} is built for {built_for}, and this machine is {target}")
