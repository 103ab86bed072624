"""Event loop of the supervisor: waits for signals, output and timers, passes them to `decide`, executes the actions.

One poll(2) waits for all of them; an idle supervisor wakes up only for liveness checks and for `_maintain`.
"""

import os
import select
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from signal import SIGCHLD, SIGINT, SIGKILL, SIGTERM
from typing import Any

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.launch.database import require_usable
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.supervise import control, leftovers, lifecycle, phases, state, watchdog
from stigmer_launcher.supervise.services import ServiceProcess
from stigmer_launcher.supervise.signals import STOP_SIGNALS, SignalPipe
from stigmer_launcher.system import locks, process

_INTERVAL = 2.0  # seconds between two calls of `_maintain`


class Supervisor:
    """Runs a launch until its services have stopped, and calls `emit` with each event."""

    def __init__(self, launch: Launch, signals: SignalPipe, emit: Callable[[dict[str, Any]], None]) -> None:
        self._launch, self._signals, self._emit = launch, signals, emit
        self._instance = state.Instance(launch.places.run)
        self._watchdog = watchdog.Watchdog(self._instance.watchdog_lock, launch.token)
        began = time.monotonic()
        self._services = {name: ServiceProcess(launch, each, began) for name, each in launch.services.items()}
        services = {name: lifecycle.Service(service.plan) for name, service in launch.services.items()}
        self._state = lifecycle.State(services, policy=launch.restart)
        self._events: list[lifecycle.Event] = []
        self._interrupted = False
        self._next_maintenance = began + _INTERVAL
        self._written = state.Snapshot(
            os.getpid(), started=time.time(), began=began, version=launch.version, installed=launch.version_id,
            token=launch.token, temporal=launch.temporal, logs=launch.places.logs,
            job=launch.job, ports=launch.ports, asked_ports=launch.asked_ports,
        )  # fmt: skip

    def run(self) -> bool:
        """Start all services, keep them running until a stop is requested, and stop them; False when the start failed."""
        self._watchdog.start()
        self._control = control.Control(self._instance.control)
        self._step()
        self._watchdog.wait_until_ready()
        while self._state.stage != phases.STOPPED:
            self._wait()
            self._step()
        self._watchdog.stop()
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
            if self._state.stage == phases.STOPPED:  # after a clean stop, no start looks for them
                leftovers.kill_escaped(self._launch.token)
            self.save()
            self._announce(before)

    def _execute(self, action: lifecycle.Action) -> None:
        service = self._services[action.name]
        match action.kind:
            case lifecycle.SPAWN:
                self._start(service)
            case lifecycle.TERMINATE:
                service.signal(SIGTERM, "terminated")
            case lifecycle.KILL if "killed" in service.times:
                self._note(f"{action.name} was killed and has not ended: see `ps -o stat,wchan {service.snapshot.pid}`")
                self._events.append(service.abandon())
                self._update_watchdog()
            case lifecycle.KILL:
                service.signal(SIGKILL, "killed")
                waited = round(service.times["killed"] - service.times["terminated"], 1)
                self._note(f"{action.name} did not stop within {waited:g} s; it is killed")
            case lifecycle.PROVE | lifecycle.CHECK:
                service.start_probe(action.kind)

    def _start(self, service: ServiceProcess) -> None:
        """Start a service and its readiness probe."""
        name, launch = service.snapshot.name, service.launch
        try:
            require_usable(launch.database, self._note)
            service.start()
        except OSError as error:
            is_there = isinstance(error, FileNotFoundError) and os.path.exists(launch.command[0])
            of = "the interpreter of " if is_there else ""
            self._events.append(lifecycle.Exited(name, f"could not be run: {of}{launch.command[0]}: {error.strerror}"))
        except LauncherError as error:
            self._events.append(lifecycle.Exited(name, f"could not be run: {error}; {error.remedy}"))
        else:
            self._update_watchdog()
            service.start_probe(lifecycle.PROVE)

    def _update_watchdog(self) -> None:
        self._watchdog.watch(service.snapshot for service in self._services.values())

    def _note(self, text: str) -> None:
        self._emit({"event": "note", "text": text})

    def _wait(self) -> None:
        """Wait for signals, output, probes, requests or timers, and turn them into events."""
        ready = self._poll()
        for service in self._services.values():
            self._events += service.advance(ready)
        if self._signals.reader in ready:
            self._read_signals()
        if self._control.reader in ready:
            self._events += self._control.read_requests(self._services)
        if time.monotonic() >= self._next_maintenance:
            self._maintain()

    def _poll(self) -> set[int]:
        """Wait until something is ready or due, and return the descriptors that are ready."""
        poller = select.poll()
        for reader in (self._signals.reader, self._control.reader):
            poller.register(reader, select.POLLIN)
        due = [self._next_maintenance, *(service.deadline for service in self._state.services.values())]
        for service in self._services.values():
            for descriptor, mask in service.descriptors():
                poller.register(descriptor, mask)
        due += [service.probe.due for service in self._services.values() if service.probe]
        return {descriptor for descriptor, _ in poller.poll(max(0, (min(due) - time.monotonic()) * 1000))}

    def _read_signals(self) -> None:
        """Turn signals into events; a second Ctrl-C skips the remaining grace periods."""
        received = set(self._signals.read())
        if received.intersection(STOP_SIGNALS):
            self._events.append(lifecycle.StopRequested(now=SIGINT in received and self._interrupted))
            self._interrupted = self._interrupted or SIGINT in received
        if SIGCHLD in received:
            self._reap()

    def _reap(self) -> None:
        """Reap every child that has ended; replace a watchdog that was killed."""
        with suppress(ChildProcessError):
            while pid := process.ended_child():
                if service := next((each for each in self._services.values() if each.snapshot.pid == pid), None):
                    self._events.append(service.reap())
                    self._update_watchdog()
                else:
                    os.waitpid(pid, 0)
                if pid == self._watchdog.pid:
                    self._replace_watchdog()

    def _replace_watchdog(self) -> None:
        """Start another watchdog; if no process can be created, `_maintain` tries again, and the services run on."""
        is_first_try = self._watchdog.pid != 0
        try:
            self._watchdog.start()
        except (OSError, LauncherError) as error:
            if is_first_try:
                self._note(f"cannot start another watchdog: {error}; trying again every {_INTERVAL:g} s")
        else:
            self._watchdog.wait_until_ready()

    def _maintain(self) -> None:
        """Start a missing watchdog, write a snapshot that could not be written, and stop if the home was removed or moved."""
        self._next_maintenance = time.monotonic() + _INTERVAL
        self.save()
        if not self._watchdog.pid:
            self._replace_watchdog()
        if self._state.stage != phases.STOPPING and not locks.is_ours(self._instance.lock, default=True):
            self._note(f"{self._instance.lock} was removed or replaced; stopping")  # no command finds this supervisor
            self._events.append(lifecycle.StopRequested())

    def save(self) -> None:
        """Write the snapshot if it or the file has changed, unless another supervisor has the home now."""
        snapshot = compose_snapshot(self._written, self._state, self._services)
        is_current = snapshot == self._written and state.read_snapshot(self._instance) == snapshot
        if not is_current and locks.is_ours(self._instance.lock):
            with suppress(OSError):  # a full disk must not end this supervisor
                state.write_snapshot(self._instance, snapshot)
                self._written = snapshot

    def _announce(self, before: lifecycle.State) -> None:
        """Emit an event for each change since `before`; a restart that cannot be run does not change the phase."""
        for name, service in self._state.services.items():
            earlier = before.services[name]
            if (earlier.phase, earlier.crashes) != (service.phase, service.crashes):
                is_new = service.error != earlier.error or service.phase in (phases.BACKOFF, phases.FAILED)
                error = service.error if is_new or name == self._state.failed else ""  # not that of an earlier crash
                self._emit(describe_change(service._replace(error=error), self._services[name]))
        if before.stage != self._state.stage:
            self._emit({"event": self._state.stage, "failed": self._state.failed})


def compose_snapshot(
    previous: state.Snapshot, stack: lifecycle.State, services: Mapping[str, ServiceProcess]
) -> state.Snapshot:
    """Return the snapshot, updated with the state of the stack."""
    snapshots: list[state.ServiceSnapshot] = []
    for name, service in stack.services.items():
        snapshot = services[name].snapshot._replace(state=service.phase, since=service.since, restarts=service.restarts)
        snapshots.append(snapshot._replace(last_error=service.error, not_ready_reason=service.not_ready_reason))
    stage = phases.DEGRADED if stack.is_degraded else stack.stage
    timeline = {name: dict(service.times) for name, service in services.items() if service.times}
    return previous._replace(state=stage, timeline=timeline, services=tuple(snapshots))


def describe_change(service: lifecycle.Service, running: ServiceProcess) -> dict[str, Any]:
    """Return the event for a service's change, with its last log lines if it went down."""
    hangs = service.phase == phases.DEGRADED
    lines = [line.decode(errors="replace") for line in running.log.end()] if service.error and not hangs else []
    error = f"does not answer: {service.not_ready_reason}" if hangs else service.error
    log = running.log.path if service.plan.managed else ""
    change = {"service": service.plan.name, "state": service.phase, "pid": running.snapshot.pid}
    return {"event": "service", **change, "error": error, "lines": lines, "log": log}
