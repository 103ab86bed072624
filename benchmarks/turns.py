"""Measurements in turns, so that other activity of the machine affects both sides of a ratio equally."""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.errors import BenchmarkError

Measure = Callable[[], float]


class Samples(NamedTuple):
    """The seconds measured for one side, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        """The median with the quartiles, in milliseconds."""
        low, middle, high = (1000 * each for each in statistics.quantiles(self.seconds, n=4, method="inclusive"))
        return f"{middle:.4g} ({low:.4g} to {high:.4g}) ms"


def parse_rounds(text: str) -> int:
    """Parse the number of rounds in a command line: quartiles need at least two."""
    if (number := int(text)) < 2:
        raise argparse.ArgumentTypeError("expected at least 2 rounds")
    return number


def take_turns(rounds: int, *measures: Measure) -> tuple[Samples, ...]:
    """Run all measures once per round, for `rounds` rounds (at least 2); return the samples of each measure."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return tuple(Samples(each) for each in zip(*taken, strict=True))


def run_program(command: tuple[str, ...], environment: Mapping[str, str], *, expect: int = 0) -> float:
    """Run a program with its output discarded; return the seconds from its start to its exit.

    Raise BenchmarkError if the exit code is not `expect`: a program that failed early must not count as fast.
    """
    quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environment, file_actions=quiet)
    _, status = os.waitpid(pid, 0)
    spent = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) != expect:
        raise BenchmarkError(f"{' '.join(command)} exited with {os.waitstatus_to_exitcode(status)}")
    return spent
