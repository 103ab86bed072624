"""What the launcher is compared with: a script that only starts the programs, in the ideal order."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.errors import BenchmarkError
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.readiness.probe import Probe

_POLL = 0.005  # seconds

Processes = dict[str, subprocess.Popen[bytes]]


class EagerProbe(Probe):
    """The launcher's own check, asked again every 5 ms however long it takes."""

    def _pause(self, *_: float) -> float:
        return _POLL


class Started(NamedTuple):
    """What the script has started: seconds until all was ready, and the processes by their services' names."""

    seconds: float
    processes: Processes


def start_programs(launch: Launch) -> Started:
    """Start every program as soon as those it needs are ready, and return when all are."""
    began = time.monotonic()
    processes: Processes = {}
    probes: dict[str, Probe] = {}
    ready: set[str] = set()
    while len(ready) < len(launch.services):
        for name, service in launch.services.items():
            if name not in processes and ready.issuperset(service.plan.needs):
                processes[name] = _run(launch, name)
                checks = service.checks(processes[name].pid, time.time())
                probes[name] = EagerProbe(checks, time.monotonic())
        for name in _proved(probes):
            probes.pop(name).close()
            ready.add(name)
        if any(process.poll() is not None for process in processes.values()):
            kill_programs(processes)
            raise BenchmarkError(f"a program ended before all were ready: see {launch.places.logs}")
    return Started(time.monotonic() - began, processes)


def make_directories(launch: Launch) -> None:
    """Make the home, the logs' directory, and every directory a program is told of."""
    inside = (directory for each in launch.services.values() for directory in each.directories)
    for directory in (launch.places.logs, *inside):
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)


def reactions(launch: Launch, processes: Processes) -> dict[str, float]:
    """Tell the programs to go in the stop order, each when the one before is gone; seconds each took to go."""
    took = {}
    for service in sorted(launch.services.values(), key=lambda each: -each.plan.stop_order):
        process = processes[service.plan.name]
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        took[service.plan.name] = time.monotonic() - began
    return took


def seconds_in_order(launch: Launch, took: Mapping[str, float]) -> float:
    """Give the seconds of a stop in which services of one stop order go together, the orders one after the other."""
    slowest: dict[int, float] = {}
    for service in launch.services.values():
        order = service.plan.stop_order
        slowest[order] = max(slowest.get(order, 0.0), took[service.plan.name])
    return sum(slowest.values())


def kill_programs(processes: Processes) -> None:
    """End whatever still runs."""
    for process in processes.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _proved(probes: Mapping[str, Probe]) -> list[str]:
    """Wait until an answer or a turn to ask has come, at most 5 ms, and name who proved to be ready."""
    waiting = select.poll()
    for probe in probes.values():
        if probe.channel:
            waiting.register(probe.channel.fileno(), probe.channel.wanted)
    answered = {descriptor for descriptor, _ in waiting.poll(_POLL * 1000)}
    now = time.monotonic()
    asked = [
        name
        for name, probe in probes.items()
        if now >= probe.due or (probe.channel and probe.channel.fileno() in answered)
    ]
    return [name for name in asked if probes[name].advance(now)]


def _run(launch: Launch, name: str) -> subprocess.Popen[bytes]:
    service = launch.services[name]
    with Path(launch.places.logs, f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            service.command,
            env=service.environment,
            cwd=launch.places.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
