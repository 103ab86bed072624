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

_READS = 16  # of a full pipe in one round of the event loop


class ServiceProcess:
    """The process of one service; an external service has none, and is only probed."""

    def __init__(self, launch: Launch, service: ServiceLaunch, began: float) -> None:
        plan = service.plan
        self.launch, self._began = service, began
        self.log = logfile.LogFile(logfile.log_path(launch.places.logs, plan.name), launch.secrets)
        self.output = -1  # our end of the pipe that it prints to
        self.probe: Probe | None = None
        self.times: dict[str, float] = {}  # of the first event of each kind, in seconds since `began`
        snapshot = state.ServiceSnapshot(plan.name, managed=plan.managed, port=service.port, version=service.version)
        self.snapshot = snapshot._replace(stop_order=plan.stop_order, grace=plan.grace)

    def start(self) -> None:
        """Spawn the service, unless it is external, and set up its probes; OSError when it cannot be run."""
        service, pid, spawned = self.launch, 0, time.time()
        if service.plan.managed:
            pid, self.output = child.spawn(service.command, service.environment)
            self.snapshot = self.snapshot._replace(pid=pid, identity=process.identity(pid))
            self.log.last, self.log.panic = [], []
        self.times = {}
        self._record("spawned")
        liveness = partial(Probe, service.checks(pid, spawned, was_ready=True), timeout=service.plan.liveness.timeout)
        self._probes = {PROVE: partial(Probe, service.checks(pid, spawned)), CHECK: liveness}

    def start_probe(self, kind: str) -> None:
        """Start a probe of its readiness (PROVE) or its liveness (CHECK)."""
        self._drop_probe()
        self.probe = self._probes[kind](now=time.monotonic())

    def descriptors(self) -> Iterator[tuple[int, int]]:
        """Yield each descriptor to wait on, with its event mask for poll(2)."""
        if self.output >= 0:
            yield self.output, POLLIN
        if self.probe and self.probe.channel:
            yield self.probe.channel.fileno(), self.probe.channel.wanted

    def advance(self, ready: set[int]) -> Iterator[Event]:
        """Read output and advance the probe, if their descriptors are `ready` or the probe is due; yield events."""
        now, probe = time.monotonic(), self.probe
        if self.output in ready:
            self._read_output()
            if probe:
                probe.nudge(now)
        if not probe or (now < probe.due and not (probe.channel and probe.channel.fileno() in ready)):
            return
        reported = probe.not_ready_reason
        if probe.advance(now):
            self._drop_probe()
            self._record("ready")
            yield Ready(self.snapshot.name)
        elif probe.not_ready_reason != reported:
            yield NotReady(self.snapshot.name, probe.not_ready_reason)

    def signal(self, signum: int, event: str) -> None:
        """Send a terminating signal to the process group, end the probe, and record the time of the `event`."""
        process.signal_group(self.snapshot.pid, signum)
        self._drop_probe()
        self._record(event)

    def reap(self) -> Exited:
        """Reap the process, which has ended; kill the rest of its group, and read the remaining output."""
        name, pid = self.snapshot.name, self.snapshot.pid
        process.signal_group(pid, SIGKILL)  # before waitpid(2), after which the pid may be reused
        _, status = os.waitpid(pid, 0)
        self._record("ended")
        self.abandon()
        return Exited(name, process.describe_exit(status), killed=process.is_killed(status))

    def abandon(self) -> Exited:
        """Forget the process; the supervisor reaps it if it ends later."""
        self.snapshot = self.snapshot._replace(pid=0, identity="")
        self._drop_probe()
        if self.output >= 0:
            self._read_output()
        self._close_output()
        return Exited(self.snapshot.name, "was killed and has not ended")

    def _read_output(self) -> None:
        """Copy available output to the log, limited so that one service does not block the event loop."""
        with suppress(BlockingIOError):
            for _ in range(_READS):
                if not (data := os.read(self.output, process.PIPE_SIZE)):
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

    def _record(self, event: str) -> None:
        self.times.setdefault(event, time.monotonic() - self._began)
