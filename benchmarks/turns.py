"""Take measurements in turns, so that whatever else the machine does falls on both sides of a ratio alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.errors import BenchmarkError

Measure = Callable[[], float]


class Samples(NamedTuple):
    """What one side took, in seconds, in the order it was measured."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Give the middle one, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        """Give the middle one with its quartiles, in milliseconds."""
        low, middle, high = (1000 * each for each in statistics.quantiles(self.seconds, n=4, method="inclusive"))
        return f"{middle:.4g} ({low:.4g} to {high:.4g}) ms"


def take_turns(rounds: int, *measures: Measure) -> tuple[Samples, ...]:
    """Measure each once, then each again, `rounds` times (at least 2); give the samples of each."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return tuple(Samples(each) for each in zip(*taken, strict=True))


def run_program(command: tuple[str, ...], environment: Mapping[str, str], *, expect: int = 0) -> float:
    """Run a program with its output thrown away, and give the seconds from its start to its end.

    BenchmarkError when it ends with another status than `expect`: what failed early was not measured.
    """
    quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environment, file_actions=quiet)
    _, status = os.waitpid(pid, 0)
    spent = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) != expect:
        raise BenchmarkError(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return spent
