"""The processes of the services: start, signal, read output, reap. The watchdog knows each of them."""

import os
from collections.abc import Callable, Iterator
from signal import SIGKILL
from typing import NamedTuple

from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.supervise.child import Child, spawn
from stigmer_launcher.supervise.lifecycle import Exited
from stigmer_launcher.supervise.logfile import LogFile, log_path
from stigmer_launcher.supervise.state import Member
from stigmer_launcher.supervise.watchdog import Watchdog
from stigmer_launcher.system import process
from stigmer_launcher.system.process import describe_exit, is_ended_by_others, signal_group

_CHUNK = 65536
_LAST_WORDS = 16 * _CHUNK  # bytes read at most of what a service printed just before its end


class Running(NamedTuple):
    """A service's living process."""

    name: str
    child: Child
    identity: str


class Services:
    """The processes of a launch, by the names of their services."""

    def __init__(self, launch: Launch, watchdog: Watchdog, wall: Callable[[], float]) -> None:
        self._launch, self._watchdog = launch, watchdog
        self._running: dict[str, Running] = {}
        self._outputs: dict[int, LogFile] = {}
        self._logs = {
            service.plan.name: LogFile(log_path(launch.logs, service.plan.name), launch.secrets, clock=wall)
            for service in launch.services
        }

    def start(self, name: str) -> int:
        """Run a service and give its pid; OSError when it cannot be run."""
        service = self._launch.service(name)
        child = spawn(service.command, service.environment)
        running = self._running[name] = Running(name, child, process.identity(child.pid))
        self._watchdog.add(Member(child.pid, running.identity, service.plan.stop_order, service.plan.grace))
        self._outputs[child.output] = self._logs[name]
        self._logs[name].last = []
        return child.pid

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a service's process group, if it runs."""
        if running := self._running.get(name):
            signal_group(running.child.pid, number)

    def identities(self) -> dict[str, str]:
        """Return the identity of each living process, by service."""
        return {name: running.identity for name, running in self._running.items()}

    def outputs(self) -> Iterator[int]:
        """Yield the descriptors the services' output comes out of."""
        yield from tuple(self._outputs)

    def service_for_fd(self, output: int) -> str:
        """Return the service whose output a descriptor carries."""
        return next((name for name, running in self._running.items() if running.child.output == output), "")

    def pump(self, output: int) -> int:
        """Move one chunk of a service's output to its log, and give its size; close what has ended."""
        try:
            data = os.read(output, _CHUNK)
        except BlockingIOError:
            return 0
        if data:
            self._outputs[output].write(data)
        else:
            self._shut(output)
        return len(data)

    def end_group(self, pid: int) -> None:
        """Kill what is left in the process group of a service that has ended and is not reaped yet."""
        if any(running.child.pid == pid for running in self._running.values()):
            signal_group(pid, SIGKILL)

    def reap(self, pid: int, status: int) -> Exited | None:
        """Handle the exit of a process: read the rest of its output."""
        running = next((each for each in self._running.values() if each.child.pid == pid), None)
        if running is None:
            return None
        del self._running[running.name]
        self._watchdog.remove(pid)
        self._drain(running.child.output)
        return Exited(running.name, describe_exit(status), outside=is_ended_by_others(status))

    def log_of(self, name: str) -> LogFile:
        """Return a service's log."""
        return self._logs[name]

    def close(self) -> None:
        """Close the logs."""
        for output in self.outputs():
            self._shut(output)
        for log in self._logs.values():
            log.close()

    def _drain(self, output: int) -> None:
        read = 0
        while output in self._outputs and read < _LAST_WORDS and (size := self.pump(output)):
            read += size
        if output in self._outputs:
            self._shut(output)

    def _shut(self, output: int) -> None:
        self._outputs.pop(output).flush()
        os.close(output)
