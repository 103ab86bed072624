"""Processes: identity, liveness, signals to a group, description of an exit."""

import os
import signal
import sys
from contextlib import suppress

_OF_OTHERS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def identity(pid: int) -> str:
    """Name a living process so that its number's next owner is told apart: boot and start time. Empty when it is dead.

    A zombie is dead: it has ended, only its parent has not looked yet.
    """
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        return darwin.start_time(pid)
    else:  # noqa: RET505 - a type checker looks at one of the two branches, by its platform
        return _identity_on_linux(pid)


def _identity_on_linux(pid: int) -> str:
    with suppress(OSError):
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if fields and fields[0] not in "ZX":
            boot = _read("/proc/sys/kernel/random/boot_id").strip()
            return f"{boot}:{fields[19]}"
    return ""


def is_same_process(pid: int, known: str) -> bool:
    """Tell whether `pid` is still the process that had the identity `known`."""
    return bool(known) and pid > 0 and identity(pid) == known


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def signal_group(group: int, number: int) -> None:
    """Send a signal to every process of a group, when there is any."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(group, number)


def describe_exit(status: int) -> str:
    """Say in words how a process ended, from the status that `waitpid` gave."""
    code = os.waitstatus_to_exitcode(status)
    return f"killed by {_signal_name(-code)}" if code < 0 else f"exited with status {code}"


def is_ended_by_others(status: int) -> bool:
    """Tell whether a process was ended by a signal that programs do not give themselves."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in _OF_OTHERS


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a realtime signal has no name
        return f"signal {number}"
