"""Memory and processor time of an idle supervisor. Linux only: it reads smaps_rollup and stat from /proc."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.errors import BenchmarkError
from benchmarks.stack import Stack
from stigmer_launcher.supervise.state import Instance, supervisor_pid
from stigmer_launcher.system import locks

_USER, _SYSTEM = 11, 12  # fields after the command in /proc/PID/stat; source: proc_pid_stat(5)


class Rest(NamedTuple):
    """Bytes of proportional memory of supervisor and watchdog, and the percentage of one core both use together."""

    pss: tuple[int, int]
    percent: float


def measure_rest(stack: Stack, seconds: float) -> Rest:
    """Observe a running stack's supervisor and watchdog for `seconds`."""
    place = Instance(stack.places.run)
    pids = (supervisor_pid(place), locks.holder(place.watchdog_lock))
    if not all(pids):
        raise BenchmarkError("no supervisor with a watchdog is running")
    began, spent = time.monotonic(), _ticks(pids)
    time.sleep(seconds)
    used = (_ticks(pids) - spent) / os.sysconf("SC_CLK_TCK")
    return Rest((_pss(pids[0]), _pss(pids[1])), 100 * used / (time.monotonic() - began))


def _ticks(pids: Sequence[int]) -> int:
    fields = [Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split() for pid in pids]
    return sum(int(each[_USER]) + int(each[_SYSTEM]) for each in fields)


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) << 10
    raise BenchmarkError(f"/proc/{pid}/smaps_rollup has no Pss line")
