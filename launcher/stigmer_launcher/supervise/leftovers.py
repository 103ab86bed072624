"""Stops the services of a killed supervisor, in the stop order, without signalling any other process.

Pids are reused, so a pid alone does not identify a process. A process is ours when its pid still has the recorded
identity, or (Linux) when its environment contains the random token of the run.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from stigmer_launcher.errors import BusyError
from stigmer_launcher.supervise.state import ServiceSnapshot
from stigmer_launcher.system import process

_POLL_INTERVAL = 0.01  # seconds, of processes that are not our children


def is_alive(service: ServiceSnapshot) -> bool:
    """Return whether the recorded process of a service still runs."""
    return process.is_same_process(service.pid, service.identity)


def stop_all(services: Iterable[ServiceSnapshot], token: str) -> int:
    """Stop the services that still run, highest stop order first, then kill escaped processes; return how many there were.

    BusyError in the end for one that SIGKILL does not end.
    """
    alive = [service for service in services if is_alive(service)]
    for order in sorted({service.stop_order for service in alive}, reverse=True):
        # Checked again: a pid may have been reused while the services before were stopping.
        _stop_together([service for service in alive if service.stop_order == order and is_alive(service)])
    ended = len(alive) + kill_escaped(token)
    if left := [*(service.pid for service in alive if is_alive(service)), *(pid for pid, _ in find_escaped(token))]:
        raise BusyError(f"process {left[0]} was killed and has not ended", f"see `ps -o stat,wchan {left[0]}`")
    return ended


def kill_escaped(token: str) -> int:
    """Kill every process whose environment contains the token, and wait a limited time; return how many there were."""
    killed, deadline = set[tuple[int, str]](), time.monotonic() + process.KILL_TIMEOUT
    while (found := set(find_escaped(token))) and time.monotonic() < deadline:
        killed |= found
        for pid, known in found:
            with suppress(PermissionError):
                process.send_signal(pid, known, signal.SIGKILL)
        time.sleep(_POLL_INTERVAL)
    return len(killed)


def find_escaped(token: str) -> Iterator[tuple[int, str]]:
    """Yield pid and identity of each process whose environment contains the token, in any session; none on macOS."""
    if token in ("", os.environ.get(process.RUN_TOKEN)) or not sys.platform.startswith("linux"):  # it would find itself
        return
    variable = f"{process.RUN_TOKEN}={token}".encode()
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if _contains(pid, variable) and (known := process.identity(pid)) and _contains(pid, variable):  # not reused
            yield pid, known


def _contains(pid: int, variable: bytes) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb", buffering=0) as environ:
        return variable in environ.read().split(b"\0")
    return False


def _stop_together(services: list[ServiceSnapshot]) -> None:
    """Terminate these process groups; kill each when its grace period is over or its leader has ended, and give up then."""
    began = time.monotonic()
    for service in services:
        process.signal_group(service.pid, signal.SIGTERM)
    while services:
        elapsed = time.monotonic() - began
        for service in tuple(services):
            if not is_alive(service) or elapsed > service.grace + process.KILL_TIMEOUT:
                services.remove(service)
                if not process.identity(service.pid):  # the id of a group that still has processes is not reused
                    process.signal_group(service.pid, signal.SIGKILL)
            elif elapsed > service.grace:
                process.signal_group(service.pid, signal.SIGKILL)
        time.sleep(_POLL_INTERVAL)
