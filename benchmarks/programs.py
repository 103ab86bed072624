"""The script the launcher is compared with: it only starts the programs, in the ideal order."""

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
    """The launcher's own probe, repeated every 5 ms without backoff."""

    def _pause(self, *_: float) -> float:
        return _POLL


class Started(NamedTuple):
    """Seconds until all services were ready, and the processes by service name."""

    seconds: float
    processes: Processes


def start_programs(launch: Launch) -> Started:
    """Start every program as soon as those it needs are ready; return once all are ready."""
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
    """Create the home, the log directory, and the directories of the files that services write to."""
    inside = (directory for each in launch.services.values() for directory in each.directories)
    for directory in (launch.places.logs, *inside):
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)


def stop_in_order(launch: Launch, processes: Processes) -> dict[str, float]:
    """Send SIGTERM in stop order, each after the previous program has exited; return the seconds until each exited."""
    took = {}
    for service in sorted(launch.services.values(), key=lambda each: -each.plan.stop_order):
        process = processes[service.plan.name]
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        took[service.plan.name] = time.monotonic() - began
    return took


def seconds_in_order(launch: Launch, took: Mapping[str, float]) -> float:
    """Return the seconds of a stop in which services of the same stop order stop together, one order after another."""
    slowest: dict[int, float] = {}
    for service in launch.services.values():
        order = service.plan.stop_order
        slowest[order] = max(slowest.get(order, 0.0), took[service.plan.name])
    return sum(slowest.values())


def kill_programs(processes: Processes) -> None:
    """Kill the programs that still run."""
    for process in processes.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _proved(probes: Mapping[str, Probe]) -> list[str]:
    """Wait at most 5 ms for an answer, advance every probe that is due or answered, and return the ready services."""
    poll = select.poll()
    for probe in probes.values():
        if probe.channel:
            poll.register(probe.channel.fileno(), probe.channel.wanted)
    answered = {descriptor for descriptor, _ in poll.poll(_POLL * 1000)}
    now = time.monotonic()
    advancing = [
        name
        for name, probe in probes.items()
        if now >= probe.due or (probe.channel and probe.channel.fileno() in answered)
    ]
    return [name for name in advancing if probes[name].advance(now)]


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
