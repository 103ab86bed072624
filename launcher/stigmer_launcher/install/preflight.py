"""What must be true before work begins. Each failure names the directory or file, and the remedy."""

import errno
import os
import sys
from collections.abc import Iterable

from stigmer_launcher.errors import HomeError, KegError, LauncherError
from stigmer_launcher.system.places import Places

_MOVE = "or set STIGMER_HOME to a directory on another disk"
_RESERVE = 1 << 20  # bytes for directories and the stamp
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# ELF e_machine and Mach-O cputype. Sources: the ELF gABI and <mach/machine.h>.
_ELF = {62: "linux-amd64", 183: "linux-arm64"}
_MACHO = {0x01000007: "darwin-amd64", 0x0100000C: "darwin-arm64"}


def prepare_home(places: Places) -> None:
    """Make the home's directories, for this user alone; HomeError when they cannot be made or written."""
    for directory in (places.home, places.versions, places.run):
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
        except OSError as error:
            raise explain(error, directory) from error
        if not os.access(directory, os.W_OK | os.X_OK):
            raise explain(OSError(_why_not_writable(directory), ""), directory)


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
            f"mount it without noexec, {_MOVE}",
        )


def require_space(directory: str, needed: int) -> None:
    """Raise HomeError when fewer than `needed` bytes are free for this user."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < needed + _RESERVE:
        raise HomeError(
            f"{directory} has {free >> 20} MB free, and the components need {-(-(needed + _RESERVE) >> 20)} MB",
            f"free some space there, {_MOVE}",
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


def this_target() -> str:
    """Name this machine as payloads do, `linux-amd64` for instance."""
    machine = os.uname().machine.lower()
    return f"{os.uname().sysname.lower()}-{_MACHINES.get(machine, machine)}"


def binary_target(path: str) -> str:
    """Name the machine a program is built for; empty when it is no program file, or cannot be read."""
    try:
        with open(path, "rb", buffering=0) as stream:
            head = stream.read(20)
    except OSError:
        return ""
    if head[:4] == b"\x7fELF":
        order = "big" if head[5:6] == b"\x02" else "little"
        number = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
        return _ELF.get(number, f"another machine (ELF {number})")
    if head[:4] == b"\xcf\xfa\xed\xfe":
        number = int.from_bytes(head[4:8], "little")
        return _MACHO.get(number, f"another machine (Mach-O {number:#x})")
    return ""


def explain(error: OSError, directory: str) -> LauncherError:
    """Turn a failed system call into what happened, where, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HomeError(f"there is no space left in {directory}", f"free some space there, {_MOVE}")
    if error.errno == errno.EROFS:
        return HomeError(f"{directory} is on a read-only file system", f"mount it writable, {_MOVE}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return HomeError(
            f"you may not write in {directory}", f"give it to yourself (`sudo chown -R $(id -un) …`), {_MOVE}"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return HomeError(
            f"{error.filename or directory} is in the way: it is not a directory", f"move it away, {_MOVE}"
        )
    return HomeError(f"cannot work in {directory}: {error.strerror}", f"check that directory, {_MOVE}")


def _why_not_writable(directory: str) -> int:
    read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
    return errno.EROFS if read_only else errno.EACCES
