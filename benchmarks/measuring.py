"""The measurements; each returns results by the keys of the table's rows."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import programs as bare
from benchmarks.machine import library_path
from benchmarks.resting import measure_rest
from benchmarks.stack import STOPPED, Stack
from benchmarks.table import Result
from benchmarks.turns import Samples, run_program, take_turns

_SETTLE = 2.0  # seconds after which a ready stack counts as idle
Results = dict[str, Result]


class Counts(NamedTuple):
    """How often each row is measured, and for how many seconds the supervisor is observed."""

    commands: int
    installs: int
    starts: int
    rest: float


def ratio(ours: Samples, theirs: Samples) -> Result:
    """Return the ratio of the medians."""
    return Result(ours.median / theirs.median, f"{ours.spread} : {theirs.spread}", len(ours.seconds))


def measure_commands(stack: Stack, python: Path, counts: Counts) -> Results:
    """Compare the small commands with the bare interpreter."""
    interpreter, environment = (str(python), "-I", "-S", "-c", "pass"), {**stack.environment, **library_path(python)}
    stack.clear()
    plain, version, status = take_turns(
        counts.commands,
        lambda: run_program(interpreter, environment),
        lambda: stack.command("--version"),
        lambda: stack.command("server", "status", expect=STOPPED),
    )
    with _running(stack):
        busy, running = take_turns(
            counts.commands,
            lambda: run_program(interpreter, environment),
            lambda: stack.command("server", "status"),
        )
    return {"version": ratio(version, plain), "status": ratio(status, plain), "status-running": ratio(running, busy)}


def measure_installation(stack: Stack, python: Path, counts: Counts) -> Results:
    """Compare installing the components with bare links, in one process of the Python the launcher was frozen from."""
    folder = stack.home.parent / "installed"
    program = (python, "-P", "-OO", "-m", "benchmarks.installing", stack.libexec, folder, str(counts.installs))
    here = Path(__file__).parents[1]
    search = os.pathsep.join((str(here), str(here / "launcher")))
    done = subprocess.run(
        program,
        env={**os.environ, **library_path(python), "PYTHONPATH": search},
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    ours, links, with_directories = (Samples(tuple(seconds)) for seconds in json.loads(done.stdout))
    stack.clear()
    return {"install": ratio(ours, links), "install-directories": ratio(ours, with_directories)}


def measure_life(stack: Stack, counts: Counts, report: Callable[[str], None]) -> Results:
    """Compare starts and stops with those of the script; each round begins with an empty home for either side."""
    taken: dict[str, list[float]] = {
        name: [] for name in ("cold", "warm", "stop", "0cold", "0warm", "0stop", "0stop-order")
    }
    for number in range(counts.starts):
        _our_round(stack, taken)
        _bare_round(stack, taken)
        report(f"round {number + 1}: " + ", ".join(f"{name} {times[-1]:.2f}" for name, times in taken.items()))
    samples = {name: Samples(tuple(times)) for name, times in taken.items()}
    in_order = {"stop-order": ratio(samples["stop"], samples["0stop-order"])}
    return {name: ratio(samples[name], samples[f"0{name}"]) for name in ("cold", "warm", "stop")} | in_order


def measure_supervisor(stack: Stack, counts: Counts) -> Results:
    """Measure memory and processor time of an idle stack's supervisor and watchdog."""
    with _running(stack):
        time.sleep(_SETTLE)
        rest = measure_rest(stack, counts.rest)
    supervisor, watchdog = (each / 1e6 for each in rest.pss)
    watched = f"watched for {counts.rest:g} s, clock ticks of {1000 // os.sysconf('SC_CLK_TCK')} ms"
    return {
        "memory": Result(supervisor + watchdog, f"supervisor {supervisor:.1f} MB, watchdog {watchdog:.1f} MB", 1),
        "processor": Result(rest.percent, watched, 1),
    }


def _our_round(stack: Stack, taken: dict[str, list[float]]) -> None:
    stack.clear()
    for kind in ("cold", "warm"):
        try:
            taken[kind].append(stack.start())
            time.sleep(_SETTLE)
            taken["stop"].append(stack.stop())
        finally:
            stack.ensure_stopped()


def _bare_round(stack: Stack, taken: dict[str, list[float]]) -> None:
    launch = stack.programs()
    for kind in ("0cold", "0warm"):
        bare.make_directories(launch)
        started = bare.start_programs(launch)
        try:
            taken[kind].append(started.seconds)
            time.sleep(_SETTLE)
            took = bare.stop_in_order(launch, started.processes)
            taken["0stop"].append(max(took.values()))
            taken["0stop-order"].append(bare.seconds_in_order(launch, took))
        finally:
            bare.kill_programs(started.processes)


@contextmanager
def _running(stack: Stack) -> Iterator[None]:
    stack.start()
    try:
        yield
    finally:
        stack.stop()
