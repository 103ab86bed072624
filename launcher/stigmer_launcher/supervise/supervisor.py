"""Event loop of the supervisor: waits for signals, output and timers, passes them to `decide`, executes the actions.

It starts the services, reads their output, probes their readiness, reaps and stops them. Signals, output, replies and
deadlines are waited for in one `poll`; an idle supervisor wakes up only to look after the services and its home.
"""

import math
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from signal import SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM
from typing import Any

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.launch.database import require_usable
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.readiness.probe import Probe
from stigmer_launcher.supervise import leftovers, lifecycle, phases
from stigmer_launcher.supervise.control import Control
from stigmer_launcher.supervise.services import Services
from stigmer_launcher.supervise.signals import SignalPipe
from stigmer_launcher.supervise.snapshot import compose_snapshot, describe_change
from stigmer_launcher.supervise.state import Instance, Snapshot, write_snapshot
from stigmer_launcher.supervise.watchdog import Watchdog
from stigmer_launcher.system import locks, process

_HOME_CHECK = 2.0  # seconds between two looks at whether the home is still there
_RETRY = 1.0  # seconds between two tries to start another watchdog


class Supervisor:
    """Runs a launch to its end. `emit` is called with each event."""

    def __init__(self, launch: Launch, signals: SignalPipe, emit: Callable[[dict[str, Any]], None]) -> None:
        self._launch, self._signals, self._emit = launch, signals, emit
        self._instance = Instance(launch.places.run)
        self._watchdog = Watchdog(self._instance.watchdog_lock, launch.token)
        self._services = Services(launch, self._watchdog)
        services = {name: lifecycle.Service(service.plan) for name, service in launch.services.items()}
        self._state = lifecycle.State(services, policy=launch.restart)
        self._events: list[lifecycle.Event] = []
        self._probers: dict[lifecycle.Action, Callable[[float], Probe]] = {}
        self._probes: dict[str, Probe] = {}
        self._timeline: dict[str, dict[str, float]] = {}
        self._interrupted = False
        self._began = time.monotonic()
        self._timers: dict[Callable[[], None], float] = {self._check_home: self._began + _HOME_CHECK}
        self._snapshot = Snapshot(os.getpid(), started=time.time(), began=self._began)
        self._written = Snapshot()

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
        self._services.close()
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
        match action.kind:
            case lifecycle.SPAWN:
                self._start(action.name)
            case lifecycle.TERMINATE:
                self._terminate(action.name)
            case lifecycle.KILL:
                self._kill(action.name)
            case _:
                self._probe(action)

    def _start(self, name: str) -> None:
        """Run a service, if it is ours to run, and begin to ask whether it is ready."""
        service = self._launch.services[name]
        spawned = time.time()
        try:
            require_usable(service.database, self._note)
            group = self._services.start(name) if service.plan.managed else 0
        except OSError as error:
            self._events.append(lifecycle.Exited(name, f"could not be run: {service.command[0]}: {error.strerror}"))
        except LauncherError as error:
            self._events.append(lifecycle.Exited(name, f"could not be run: {error}; {error.remedy}"))
        else:
            self._timeline[name] = {}
            self._mark(name, "spawned")
            proving, checking = lifecycle.Action(lifecycle.PROVE, name), lifecycle.Action(lifecycle.CHECK, name)
            alive = service.checks(group, spawned, was_ready=True)
            self._probers[checking] = partial(Probe, alive, timeout=service.plan.liveness.timeout)
            self._probers[proving] = partial(Probe, service.checks(group, spawned))
            self._probe(proving)

    def _probe(self, asked: lifecycle.Action) -> None:
        """Begin to ask a service for its proofs, or whether it still answers."""
        self._drop_probe(asked.name)
        self._probes[asked.name] = self._probers[asked](time.monotonic())

    def _terminate(self, name: str) -> None:
        self._services.signal(name, SIGTERM)
        self._drop_probe(name)
        self._mark(name, "told")

    def _kill(self, name: str) -> None:
        self._services.signal(name, SIGKILL)
        self._mark(name, "killed")
        times = self._timeline[name]
        waited = round(times["killed"] - times["told"], 1)
        self._note(f"{name} did not stop within {waited:g} s; it is killed")

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
            self._events += self._control.take(tuple(self._launch.services))
        for run, due in tuple(self._timers.items()):
            if time.monotonic() >= due:
                run()

    def _poll(self) -> set[int]:
        """Wait until something is ready or due, and return the descriptors that are ready."""
        waiting = select.poll()
        for descriptor in (self._signals.fileno(), self._control.fileno(), *self._services.outputs):
            waiting.register(descriptor, select.POLLIN)
        for probe in self._probes.values():
            if probe.channel:
                waiting.register(probe.channel.fileno(), probe.channel.wanted)
        deadlines = [service.until for service in self._state.services.values()]
        due = min(*deadlines, *self._timers.values(), *(probe.due for probe in self._probes.values()), lifecycle.NEVER)
        timeout = None if due == lifecycle.NEVER else max(0, math.ceil((due - time.monotonic()) * 1000))
        return {descriptor for descriptor, _ in waiting.poll(timeout)}

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
        if numbers & {SIGTERM, SIGINT, SIGHUP}:
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
        try:
            self._watchdog.start()
        except OSError as error:
            if self._replace_watchdog not in self._timers:
                self._note(f"cannot start another watchdog: {error.strerror}; trying again every {_RETRY:g} s")
            self._timers[self._replace_watchdog] = time.monotonic() + _RETRY
        else:
            self._timers.pop(self._replace_watchdog, None)
            self._watchdog.wait_until_ready()

    def _check_home(self) -> None:
        """Stop when the home was removed or moved: commands do not find this supervisor any more."""
        if locks.is_ours(self._instance.lock):
            self._timers[self._check_home] = time.monotonic() + _HOME_CHECK
        else:
            del self._timers[self._check_home]
            self._note(f"{self._instance.lock} was removed or replaced; stopping")
            self._events.append(lifecycle.StopRequested())

    def save(self) -> None:
        """Write the state down when it says anything new, unless the home is another supervisor's by now."""
        members, timeline = self._services.members, self._timeline
        self._snapshot = compose_snapshot(self._launch, self._state, members, timeline, self._snapshot)
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
