"""Stops the services of a killed supervisor, in the stop order, identified so that no other process is hit.

A process is ours when its number still has the identity that was written down for it, or (Linux) when its environment
carries the token of our run, which nobody else can have by accident. A number alone proves nothing.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from stigmer_launcher.supervise.state import ServiceSnapshot
from stigmer_launcher.system import process

_PAUSE = 0.01  # seconds between two looks at processes that are not our children


def is_alive(member: ServiceSnapshot) -> bool:
    """Return whether the very process of a service still lives."""
    return process.is_same_process(member.pid, member.identity)


def end_members(members: Iterable[ServiceSnapshot], token: str) -> int:
    """Stop living members, the highest stop order first, then kill escaped processes; return how many there were."""
    living = [member for member in members if is_alive(member)]
    for order in sorted({member.stop_order for member in living}, reverse=True):
        # Looked up again: while those before ended, a number may have been given to another process.
        _end_together([member for member in living if member.stop_order == order and is_alive(member)])
    return len(living) + end_escaped(token)


def end_escaped(token: str) -> int:
    """Kill every process whose environment carries the token, until there is none; give how many there were."""
    ended = 0
    while found := list(escaped(token)):
        ended += len(found)
        for pid, known in found:
            with suppress(PermissionError):
                process.send_signal(pid, known, signal.SIGKILL)
        time.sleep(_PAUSE)
    return ended


def escaped(token: str) -> Iterator[tuple[int, str]]:
    """Yield pid and identity of each process whose environment carries the token, in whatever session; none on macOS."""
    if not token or not sys.platform.startswith("linux"):
        return
    mark = f"{process.RUN_TOKEN}={token}".encode()
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if _carries(pid, mark) and (known := process.identity(pid)) and _carries(pid, mark):  # the same one throughout
            yield pid, known


def _carries(pid: int, mark: bytes) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb", buffering=0) as environ:
        return mark in environ.read().split(b"\0")
    return False


def _end_together(members: list[ServiceSnapshot]) -> None:
    """Terminate these groups, and kill each when its grace period is over or its leader has ended."""
    began = time.monotonic()
    for member in members:
        process.signal_group(member.pid, signal.SIGTERM)
    while members:
        spent = time.monotonic() - began
        for member in tuple(members):
            if not is_alive(member):
                members.remove(member)
                if not process.identity(member.pid):  # the number of a group with members has no new owner
                    process.signal_group(member.pid, signal.SIGKILL)
            elif spent > member.grace:
                process.signal_group(member.pid, signal.SIGKILL)
        time.sleep(_PAUSE)
