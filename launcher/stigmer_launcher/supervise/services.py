"""A service as the supervisor handles it: its process, its output and log, and the probe that asks it."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from select import POLLIN
from signal import SIGKILL

from stigmer_launcher.launch.plan import Launch, ServiceLaunch
from stigmer_launcher.readiness.probe import Probe
from stigmer_launcher.supervise import child, logfile, state
from stigmer_launcher.supervise.lifecycle import CHECK, PROVE, Event, Exited, NotReady, Ready
from stigmer_launcher.system import process

_CHUNK, _CHUNKS = 65536, 16  # bytes read at once, and how often before others have their turn


class ServiceProcess:
    """The process of one service; whoever is not ours to run has none, and is only asked."""

    def __init__(self, launch: Launch, service: ServiceLaunch, began: float) -> None:
        plan = service.plan
        self.launch, self._began = service, began
        self.log = logfile.LogFile(logfile.log_path(launch.places.logs, plan.name), launch.secrets)
        self.output = -1  # the pipe that it prints to
        self.probe: Probe | None = None
        self.times: dict[str, float] = {}  # seconds since `began` at which something first happened to it
        self.member = state.ServiceSnapshot(
            plan.name,
            managed=plan.managed,
            stop_order=plan.stop_order,
            grace=plan.grace,
            port=service.port,
            version=service.version,
        )

    def start(self) -> None:
        """Run the service, if it is ours to run, and say how it is asked; OSError when it cannot be run."""
        service, pid, spawned = self.launch, 0, time.time()
        if service.plan.managed:
            pid, self.output = child.spawn(service.command, service.environment)
            self.member = self.member._replace(pid=pid, identity=process.identity(pid))
            self.log.last = []
        self.times = {}
        self._mark("spawned")
        liveness = partial(Probe, service.checks(pid, spawned, was_ready=True), timeout=service.plan.liveness.timeout)
        self._probes = {PROVE: partial(Probe, service.checks(pid, spawned)), CHECK: liveness}

    def ask(self, kind: str) -> None:
        """Begin to ask for all proofs (PROVE), or whether it still answers (CHECK)."""
        self._drop_probe()
        self.probe = self._probes[kind](now=time.monotonic())

    def channels(self) -> Iterator[tuple[int, int]]:
        """Yield each descriptor to wait on, and for what."""
        if self.output >= 0:
            yield self.output, POLLIN
        if self.probe and self.probe.channel:
            yield self.probe.channel.fileno(), self.probe.channel.wanted

    def take(self, ready: set[int]) -> Iterator[Event]:
        """Read what was printed and answered where a descriptor is ready or the probe due, and yield what that means."""
        now, probe = time.monotonic(), self.probe
        if self.output in ready:
            self._pump()
            if probe:
                probe.nudge(now)
        if not probe or (now < probe.due and not (probe.channel and probe.channel.fileno() in ready)):
            return
        lacking = probe.not_ready_reason
        if probe.advance(now):
            self._drop_probe()
            self._mark("ready")
            yield Ready(self.member.name)
        elif probe.not_ready_reason != lacking:
            yield NotReady(self.member.name, probe.not_ready_reason)

    def signal(self, number: int, what: str) -> None:
        """Send a signal that ends it to the process group, write down when, and ask no more."""
        process.signal_group(self.member.pid, number)
        self._drop_probe()
        self._mark(what)

    def reap(self) -> Exited:
        """Collect the process, which has ended, the rest of its group, and what they have printed."""
        name, pid = self.member.name, self.member.pid
        process.signal_group(pid, SIGKILL)  # before its number can be given to another group
        _, status = os.waitpid(pid, 0)
        self.member = self.member._replace(pid=0, identity="")
        self._drop_probe()
        self._mark("ended")
        if self.output >= 0:
            self._pump()
        self._close_output()
        return Exited(name, process.describe_exit(status), outside=process.is_ended_by_others(status))

    def _pump(self) -> None:
        """Move what was printed to the log; not all of it when it never ends."""
        with suppress(BlockingIOError):
            for _ in range(_CHUNKS):
                data = os.read(self.output, _CHUNK)
                if not data:
                    self._close_output()
                    break
                self.log.write(data)

    def _close_output(self) -> None:
        if self.output >= 0:
            self.log.flush()
            os.close(self.output)
        self.output = -1

    def _drop_probe(self) -> None:
        if self.probe:
            self.probe.close()
        self.probe = None

    def _mark(self, what: str) -> None:
        self.times.setdefault(what, time.monotonic() - self._began)
