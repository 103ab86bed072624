"""Conditions checked before an installation. Each failure names the directory or file, and the remedy."""

import os
import sys
from collections.abc import Iterable

from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.system.machine import binary_target, this_target
from stigmer_launcher.system.places import ANOTHER_DISK

_RESERVE = 1 << 20  # bytes for directories and the stamp
_ROOM = 4 << 20  # bytes for the databases and logs of a first start
_FREE_SOME = f"free some space there, {ANOTHER_DISK}"


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
    free, needed = free_space(directory), needed + _RESERVE
    if free < needed:
        text = f"{directory} has {free >> 20} MB free, and the components need {-(-needed >> 20)} MB"
        raise HomeError(text, _FREE_SOME)


def require_room(directory: str) -> None:
    """Raise HomeError when a start would fail in the midst of it: services make databases and logs there."""
    if (free := free_space(directory)) < _ROOM:
        text = f"there is no space left in {directory}: {free >> 10} kB free, and a start needs {_ROOM >> 20} MB"
        raise HomeError(text, _FREE_SOME)


def free_space(directory: str) -> int:
    """Return how many bytes this user may still write there."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def require_target(target: str) -> None:
    """Raise KegError when the keg is for another kind of machine."""
    if target != (here := this_target()):
        raise KegError(
            f"this Stigmer is built for {target}, and this machine is {here}",
            "install it with the Homebrew of this machine's architecture: `brew reinstall stigmer`",
        )


def require_native(programs: Iterable[str], target: str) -> None:
    """Raise KegError when a program is for another kind of machine than `target`; scripts run on any."""
    for path in programs:
        if (built_for := binary_target(path)) not in ("", target):
            raise KegError(f"{path} is built for {built_for}, and this machine is {target}")
