"""One service of the supervisor: its process, its output and log, and the probe of its readiness or liveness."""

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

_CHUNK, _CHUNKS = 65536, 16  # bytes of one read, and the reads before other services have their turn


class ServiceProcess:
    """The process of one service; an external service has none, and is only probed."""

    def __init__(self, launch: Launch, service: ServiceLaunch, began: float) -> None:
        plan = service.plan
        self.launch, self._began = service, began
        self.log = logfile.LogFile(logfile.log_path(launch.places.logs, plan.name), launch.secrets)
        self.output = -1  # the pipe that it prints to
        self.probe: Probe | None = None
        self.times: dict[str, float] = {}  # seconds since `began` of the first event of each kind, see `_mark`
        self.snapshot = state.ServiceSnapshot(
            plan.name,
            managed=plan.managed,
            stop_order=plan.stop_order,
            grace=plan.grace,
            port=service.port,
            version=service.version,
        )

    def start(self) -> None:
        """Spawn the service, unless it is external, and set up its probes; OSError when it cannot be run."""
        service, pid, spawned = self.launch, 0, time.time()
        if service.plan.managed:
            pid, self.output = child.spawn(service.command, service.environment)
            self.snapshot = self.snapshot._replace(pid=pid, identity=process.identity(pid))
            self.log.last = []
        self.times = {}
        self._mark("spawned")
        liveness = partial(Probe, service.checks(pid, spawned, was_ready=True), timeout=service.plan.liveness.timeout)
        self._probes = {PROVE: partial(Probe, service.checks(pid, spawned)), CHECK: liveness}

    def ask(self, kind: str) -> None:
        """Begin a probe of its readiness (PROVE) or of its liveness (CHECK)."""
        self._drop_probe()
        self.probe = self._probes[kind](now=time.monotonic())

    def channels(self) -> Iterator[tuple[int, int]]:
        """Yield each descriptor to wait on, with its event mask for poll(2)."""
        if self.output >= 0:
            yield self.output, POLLIN
        if self.probe and self.probe.channel:
            yield self.probe.channel.fileno(), self.probe.channel.wanted

    def take(self, ready: set[int]) -> Iterator[Event]:
        """Read output, and advance the probe, where a descriptor is `ready` or the probe is due; yield events."""
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
            yield Ready(self.snapshot.name)
        elif probe.not_ready_reason != lacking:
            yield NotReady(self.snapshot.name, probe.not_ready_reason)

    def signal(self, number: int, what: str) -> None:
        """Send a terminating signal to the process group, end the probe, and record the time as `what`."""
        process.signal_group(self.snapshot.pid, number)
        self._drop_probe()
        self._mark(what)

    def reap(self) -> Exited:
        """Reap the process, which has ended, kill the rest of its group, and read their last output."""
        name, pid = self.snapshot.name, self.snapshot.pid
        process.signal_group(pid, SIGKILL)  # before waitpid(2), after which another group may get the number
        _, status = os.waitpid(pid, 0)
        self.snapshot = self.snapshot._replace(pid=0, identity="")
        self._drop_probe()
        self._mark("ended")
        if self.output >= 0:
            self._pump()
        self._close_output()
        return Exited(name, process.describe_exit(status), outside=process.is_ended_by_others(status))

    def _pump(self) -> None:
        """Move output to the log; of endless output only a part at a time."""
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
