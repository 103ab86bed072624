"""What must be true before work begins. Each failure names the directory or file, and the remedy."""

import os
import sys
from collections.abc import Iterable

from stigmer_launcher.errors import HomeError, KegError
from stigmer_launcher.system.places import ANOTHER_DISK

_RESERVE = 1 << 20  # bytes for directories and the stamp
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
# ELF e_machine and Mach-O cputype. Sources: the ELF gABI and <mach/machine.h>.
_ELF = {62: "linux-amd64", 183: "linux-arm64"}
_MACHO = {0x01000007: "darwin-amd64", 0x0100000C: "darwin-arm64"}


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
