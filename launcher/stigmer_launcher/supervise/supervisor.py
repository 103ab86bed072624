"""Event loop of the supervisor: waits for signals, output and timers, passes them to `decide`, executes the actions.

It starts the services, reads their output, probes their readiness, reaps and stops them. Signals, output, replies and
deadlines are waited for in one `poll`; an idle supervisor wakes up only to look after the services and its home.
"""

import os
import select
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from signal import SIGCHLD, SIGINT, SIGKILL, SIGTERM
from typing import Any

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.launch.database import require_usable
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.readiness.probe import Probe
from stigmer_launcher.supervise import leftovers, lifecycle, phases
from stigmer_launcher.supervise.control import Control
from stigmer_launcher.supervise.logfile import LogFile
from stigmer_launcher.supervise.services import Services
from stigmer_launcher.supervise.signals import TO_STOP, SignalPipe
from stigmer_launcher.supervise.state import Instance, ServiceSnapshot, Snapshot, write_snapshot
from stigmer_launcher.supervise.watchdog import Watchdog
from stigmer_launcher.system import locks, process

_LOOK = 2.0  # seconds between two looks at whether the home and the watchdog are still there


class Supervisor:
    """Runs a launch to its end. `emit` is called with each event."""

    def __init__(self, launch: Launch, signals: SignalPipe, emit: Callable[[dict[str, Any]], None]) -> None:
        self._launch, self._signals, self._emit = launch, signals, emit
        self._instance = Instance(launch.run)
        self._watchdog = Watchdog(self._instance.watchdog_lock, launch.token)
        self._services = Services(launch, self._watchdog)
        services = {service.plan.name: lifecycle.Service(service.plan) for service in launch.services}
        self._state = lifecycle.State(services, policy=launch.restart)
        self._events: list[lifecycle.Event] = []
        self._probers: dict[lifecycle.Action, Callable[[float], Probe]] = {}
        self._probes: dict[str, Probe] = {}
        self._timeline: dict[str, dict[str, float]] = {}
        self._interrupted = False
        self._began = time.monotonic()
        self._next_look = self._began + _LOOK
        self._written = Snapshot()
        self._snapshot = Snapshot(
            os.getpid(),
            started=time.time(),
            began=self._began,
            version=launch.version,
            installed=launch.installed,
            token=launch.token,
            temporal=launch.temporal,
            logs=launch.logs,
            job=launch.job,
            ports=launch.ports,
            asked_ports=launch.asked_ports,
        )

    def run(self) -> bool:
        """Start everything, keep it running until told to stop, stop everything; False when the start failed."""
        self._watchdog.start()
        self._control = Control(self._instance.control)
        self._step()
        self._watchdog.wait_until_ready()
        while self._state.stage != phases.STOPPED:
            self._wait()
            self._step()
        self._watchdog.dismiss()
        self._control.close()
        return not self._state.failed

    def _step(self) -> None:
        """Decide and execute until no new events result."""
        before = self._state
        while True:
            events, self._events = self._events, []
            self._state, actions = lifecycle.decide(self._state, events, time.monotonic())
            for action in actions:
                self._execute(action)
            if not self._events:
                break
        if self._state != before:
            if self._state.stage == phases.STOPPED:  # the next start does not look for processes of a clean stop
                leftovers.end_escaped(self._launch.token)
            self.save()
            self._announce(before)

    def _execute(self, action: lifecycle.Action) -> None:
        name = action.name
        match action.kind:
            case lifecycle.SPAWN:
                self._start(name)
            case lifecycle.TERMINATE:
                self._services.signal(name, SIGTERM)
                self._drop_probe(name)
                self._mark(name, "told")
            case lifecycle.KILL:
                self._services.signal(name, SIGKILL)
                self._mark(name, "killed")
                waited = round(self._timeline[name]["killed"] - self._timeline[name]["told"], 1)
                self._note(f"{name} did not stop within {waited:g} s; it is killed")
            case _:
                self._probe(action)

    def _start(self, name: str) -> None:
        """Run a service, if it is ours to run, and begin to ask whether it is ready."""
        service = self._launch.service(name)
        spawned = time.time()
        try:
            require_usable(self._launch.database(service), self._note)
            group = self._services.start(name) if service.plan.managed else 0
        except OSError as error:
            self._events.append(lifecycle.Exited(name, f"could not be run: {service.command[0]}: {error.strerror}"))
        except LauncherError as error:
            self._events.append(lifecycle.Exited(name, f"could not be run: {error}; {error.remedy}"))
        else:
            self._timeline[name] = {}
            self._mark(name, "spawned")
            liveness = partial(Probe, service.liveness(group, spawned), timeout=service.plan.liveness.timeout)
            self._probers[lifecycle.Action(lifecycle.CHECK, name)] = liveness
            proving = lifecycle.Action(lifecycle.PROVE, name)
            self._probers[proving] = partial(Probe, service.checks(group, spawned))
            self._probe(proving)

    def _probe(self, asked: lifecycle.Action) -> None:
        """Begin to ask a service for its proofs, or whether it still answers."""
        self._drop_probe(asked.name)
        self._probes[asked.name] = self._probers[asked](time.monotonic())

    def _mark(self, name: str, what: str) -> None:
        """Write down when something first happened to a service's process."""
        self._timeline[name].setdefault(what, time.monotonic() - self._began)

    def _note(self, text: str) -> None:
        self._emit({"event": "note", "text": text})

    def _wait(self) -> None:
        """Wait for a signal, output, an answer, or a time that is due, and turn it into events."""
        ready = self._poll()
        for output, name in tuple(self._services.outputs.items()):
            if output in ready:
                self._services.pump(output)
                if probe := self._probes.get(name):
                    probe.nudge(time.monotonic())
        for name, probe in tuple(self._probes.items()):
            if time.monotonic() >= probe.due or (probe.channel and probe.channel.fileno() in ready):
                self._ask(name, probe)
        if self._signals.fileno() in ready:
            self._take_signals()
        if self._control.fileno() in ready:
            self._events += self._control.take(self._launch.names())
        if time.monotonic() >= self._next_look:
            self._look_after()

    def _poll(self) -> set[int]:
        """Wait until something is ready or due, and return the descriptors that are ready."""
        waiting = select.poll()
        for descriptor in (self._signals.fileno(), self._control.fileno(), *self._services.outputs):
            waiting.register(descriptor, select.POLLIN)
        for probe in self._probes.values():
            if probe.channel:
                waiting.register(probe.channel.fileno(), probe.channel.wanted)
        deadlines = (service.until for service in self._state.services.values())
        due = min([self._next_look, *deadlines, *(probe.due for probe in self._probes.values())])
        return {descriptor for descriptor, _ in waiting.poll(max(0, (due - time.monotonic()) * 1000))}

    def _ask(self, name: str, probe: Probe) -> None:
        lacking = probe.not_ready_reason
        if probe.advance(time.monotonic()):
            self._drop_probe(name)
            self._mark(name, "ready")
            self._events.append(lifecycle.Ready(name))
        elif probe.not_ready_reason != lacking:
            self._events.append(lifecycle.NotReady(name, probe.not_ready_reason))

    def _drop_probe(self, name: str) -> None:
        if probe := self._probes.pop(name, None):
            probe.close()

    def _take_signals(self) -> None:
        """Turn signals into events; a second Ctrl-C asks not to wait for anybody's grace."""
        numbers = set(self._signals.take())
        if numbers.intersection(TO_STOP):
            self._events.append(lifecycle.StopRequested(now=SIGINT in numbers and self._interrupted))
            self._interrupted = self._interrupted or SIGINT in numbers
        if SIGCHLD in numbers:
            self._reap()

    def _reap(self) -> None:
        """Collect every process that has ended; a watchdog that was killed is replaced."""
        with suppress(ChildProcessError):
            while pid := process.ended_child():
                if exited := self._services.reap(pid):
                    self._drop_probe(exited.name)
                    self._mark(exited.name, "ended")
                    self._events.append(exited)
                elif pid == self._watchdog.pid:
                    self._replace_watchdog()

    def _replace_watchdog(self) -> None:
        """Start another watchdog; when there is no room for it, try again soon: the services must go on."""
        is_first_try = self._watchdog.pid != 0
        try:
            self._watchdog.start()
        except OSError as error:
            if is_first_try:
                self._note(f"cannot start another watchdog: {error.strerror}; trying again every {_LOOK:g} s")
        else:
            self._watchdog.wait_until_ready()

    def _look_after(self) -> None:
        """Stop when the home was removed or moved: commands do not find this supervisor any more."""
        self._next_look = time.monotonic() + _LOOK
        if not self._watchdog.pid:
            self._replace_watchdog()
        if self._state.stage != phases.STOPPING and not locks.is_ours(self._instance.lock):
            self._note(f"{self._instance.lock} was removed or replaced; stopping")
            self._events.append(lifecycle.StopRequested())

    def save(self) -> None:
        """Write the state down when it says anything new, unless the home is another supervisor's by now."""
        self._snapshot = compose_snapshot(self._snapshot, self._state, self._services.members, self._timeline)
        if self._snapshot != self._written and locks.is_ours(self._instance.lock):
            with suppress(OSError):  # a full disk must not end this supervisor
                write_snapshot(self._instance, self._snapshot)
                self._written = self._snapshot

    def _announce(self, before: lifecycle.State) -> None:
        """Emit an event for each change since `before`; a restart that cannot be run leaves the phase."""
        for name, service in self._state.services.items():
            earlier = before.services[name]
            if (earlier.phase, earlier.crashes) != (service.phase, service.crashes):
                self._emit(describe_change(self._snapshot.service(name), self._services.logs[name]))
        if before.stage != self._state.stage:
            self._emit({"event": self._state.stage, "failed": self._state.failed})


def compose_snapshot(
    earlier: Snapshot,
    state: lifecycle.State,
    members: Mapping[str, ServiceSnapshot],
    timeline: Mapping[str, Mapping[str, float]],
) -> Snapshot:
    """Return the snapshot with what has changed in a run."""
    services = (
        members[name]._replace(
            state=service.phase,
            since=service.since,
            restarts=service.restarts,
            last_error=service.error,
            lacking=service.lacking,
        )
        for name, service in state.services.items()
    )
    return earlier._replace(
        state=phases.DEGRADED if state.is_degraded else state.stage,
        failed=state.failed,
        timeline={name: dict(times) for name, times in timeline.items()},
        services=tuple(services),
    )


def describe_change(service: ServiceSnapshot, log: LogFile) -> dict[str, Any]:
    """Return the event for a service's change, with its last lines if it went down."""
    hangs = service.state == phases.DEGRADED
    lines = [line.decode(errors="replace") for line in log.last] if service.last_error and not hangs else []
    return {
        "event": "service",
        "service": service.name,
        "state": service.state,
        "pid": service.pid,
        "error": f"does not answer: {service.lacking}" if hangs else service.last_error,
        "lines": lines,
        "log": log.path,
    }
