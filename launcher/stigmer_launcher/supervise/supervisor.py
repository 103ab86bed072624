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
from signal import SIGCHLD, SIGHUP, SIGINT, SIGTERM
from typing import Any, NamedTuple

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.launch.database import require_usable
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.readiness.address import Address
from stigmer_launcher.readiness.checks import Check
from stigmer_launcher.readiness.probe import Probe
from stigmer_launcher.supervise import leftovers, lifecycle, phases
from stigmer_launcher.supervise.control import Control
from stigmer_launcher.supervise.decide import decide, initial_state, next_due
from stigmer_launcher.supervise.services import Services
from stigmer_launcher.supervise.signals import SignalPipe
from stigmer_launcher.supervise.snapshot import compose_snapshot, describe_change
from stigmer_launcher.supervise.state import Instance, Snapshot, write_snapshot
from stigmer_launcher.supervise.watchdog import Watchdog
from stigmer_launcher.system import locks, process

_HOME_CHECK = 2.0  # seconds between two looks at whether the home is still there

Emit = Callable[[dict[str, Any]], None]
_RETRY = 1.0  # seconds


class _Checks(NamedTuple):
    """What a service is asked: before it counts as ready, and from then on."""

    readiness: list[tuple[Address, Check]]
    liveness: list[tuple[Address, Check]]


class Supervisor:
    """Runs a launch to its end. `emit` is called with each event."""

    def __init__(
        self,
        launch: Launch,
        signals: SignalPipe,
        emit: Emit,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._launch, self._signals, self._emit, self._clock, self._wall = launch, signals, emit, clock, wall
        self._instance = Instance(launch.run)
        self._watchdog = Watchdog(self._instance.watchdog_lock, launch.token)
        self._services = Services(launch, self._watchdog, wall)
        self._state = initial_state(tuple(service.plan for service in launch.services), launch.restart)
        self._events: list[lifecycle.Event] = []
        self._checks: dict[str, _Checks] = {}
        self._probes: dict[str, Probe] = {}
        self._began = clock()
        self._snapshot = Snapshot(os.getpid(), started=wall(), began=self._began)
        self._written = Snapshot()
        self._timeline: dict[str, dict[str, float]] = {}
        self._interrupted = False
        self._watchdog_due = lifecycle.NEVER
        self._next_home_check = self._began + _HOME_CHECK

    def enter(self) -> None:
        """Write the state before anything runs, so that other starts keep the version in use."""
        self._save()

    def run(self) -> bool:
        """Start everything, keep it running until told to stop, stop everything; False when the start failed."""
        self._watchdog.start()
        self._control = Control(self._instance.control)
        self._step()
        self._watchdog.wait_until_ready()
        while self._state.stage != phases.STOPPED:
            self._wait()
            self._step()
        leftovers.end_escaped(self._launch.token)
        self._watchdog.dismiss()
        self._control.close()
        self._services.close()
        return not self._state.failed

    def _step(self) -> None:
        """Decide and execute until no new events result."""
        before = self._state
        while True:
            events, self._events = tuple(self._events), []
            self._state, actions = decide(self._state, events, self._clock())
            for action in actions:
                self._execute(action)
            if not self._events:
                break
        if self._state != before:
            self._save()
            self._announce(before)

    def _execute(self, action: lifecycle.Action) -> None:
        if isinstance(action, lifecycle.Spawn):
            self._start(action.name)
        elif isinstance(action, lifecycle.Prove):
            self._prove(action.name)
        elif isinstance(action, lifecycle.CheckLiveness):
            self._check_liveness(action.name)
        else:
            self._drop_probe(action.name)
            self._services.signal(action.name, action.number)
            self._note_stop(action)

    def _note_stop(self, sent: lifecycle.Signal) -> None:
        """Write down when a service was told to stop, and tell when it has to be killed."""
        times = self._timeline[sent.name]
        mark = "killed" if sent.number == lifecycle.KILL else "told"
        times[mark] = self._clock() - self._began
        if mark == "killed":
            waited = round(times["killed"] - times["told"], 1)
            self._note(f"{sent.name} did not stop within {waited:g} s; it is killed")

    def _start(self, name: str) -> None:
        """Run a service, if it is ours to run, and begin to ask whether it is ready."""
        service = self._launch.service(name)
        group, spawned = 0, self._wall()
        if service.plan.managed:
            try:
                require_usable(self._launch.database(service), self._note)
                group = self._services.start(name)
            except OSError as error:
                self._events.append(lifecycle.Exited(name, f"could not be run: {service.command[0]}: {error.strerror}"))
                return
            except LauncherError as error:
                self._events.append(lifecycle.Exited(name, f"could not be run: {error}; {error.remedy}"))
                return
            self._events.append(lifecycle.Spawned(name, group))
        self._timeline[name] = {"spawned": self._clock() - self._began}
        self._checks[name] = _Checks(service.checks(group, spawned), service.liveness(group, spawned))
        self._prove(name)

    def _note(self, text: str) -> None:
        self._emit({"event": "note", "text": text})

    def _prove(self, name: str) -> None:
        """Begin to ask a service for its proofs."""
        self._drop_probe(name)
        self._probes[name] = Probe(self._checks[name].readiness, self._clock())

    def _check_liveness(self, name: str) -> None:
        """Begin to ask a service that is ready whether it still answers."""
        self._drop_probe(name)
        timeout = self._launch.service(name).plan.liveness.timeout
        self._probes[name] = Probe(self._checks[name].liveness, self._clock(), timeout=timeout)

    def _wait(self) -> None:
        """Wait for a signal, output, an answer, or a time that is due, and turn it into events."""
        ready = {descriptor for descriptor, _ in self._register().poll(self._timeout())}
        for output in self._services.outputs():
            if output in ready:
                self._read_output(output)
        for name, probe in tuple(self._probes.items()):
            if self._clock() >= probe.due or (probe.channel and probe.channel.fileno() in ready):
                self._ask(name, probe)
        if self._signals.fileno() in ready:
            self._take_signals()
        if self._control.fileno() in ready:
            self._events += self._control.take(self._launch.names())
        self._run_timers()

    def _register(self) -> "select.poll":
        """Register everything that can become ready."""
        waiting = select.poll()
        waiting.register(self._signals.fileno(), select.POLLIN)
        waiting.register(self._control.fileno(), select.POLLIN)
        for output in self._services.outputs():
            waiting.register(output, select.POLLIN)
        for probe in self._probes.values():
            if probe.channel:
                waiting.register(probe.channel.fileno(), probe.channel.wanted)
        return waiting

    def _run_timers(self) -> None:
        if self._clock() >= self._watchdog_due:
            self._replace_watchdog()
        if self._clock() >= self._next_home_check:
            self._check_home()

    def _read_output(self, output: int) -> None:
        """Move a service's output to its log, and probe it soon if it is not ready yet."""
        if probe := self._probes.get(self._services.service_for_fd(output)):
            probe.nudge(self._clock())
        self._services.pump(output)

    def _timeout(self) -> int | None:
        """Return the milliseconds until something is due, None when nothing is."""
        probes = (probe.due for probe in self._probes.values())
        due = min([self._next_home_check, next_due(self._state), self._watchdog_due, *probes])
        return None if due == lifecycle.NEVER else max(0, math.ceil((due - self._clock()) * 1000))

    def _check_home(self) -> None:
        """Stop when the home was removed or moved: commands do not find this supervisor any more."""
        self._next_home_check = self._clock() + _HOME_CHECK
        if not locks.is_ours(self._instance.lock):
            self._next_home_check = lifecycle.NEVER
            self._note(f"{self._instance.lock} was removed or replaced; stopping")
            self._events.append(lifecycle.StopRequested())

    def _ask(self, name: str, probe: Probe) -> None:
        not_ready_reason = probe.not_ready_reason
        if probe.advance(self._clock()):
            self._drop_probe(name)
            self._timeline[name].setdefault("ready", self._clock() - self._began)
            self._events.append(lifecycle.Ready(name))
        elif probe.not_ready_reason != not_ready_reason:
            self._events.append(lifecycle.NotReady(name, probe.not_ready_reason))

    def _drop_probe(self, name: str) -> None:
        if probe := self._probes.pop(name, None):
            probe.close()

    def _take_signals(self) -> None:
        """Turn signals into events; a second Ctrl-C asks not to wait for anybody's grace."""
        numbers = self._signals.take()
        if not {SIGTERM, SIGINT, SIGHUP}.isdisjoint(numbers):
            again = SIGINT in numbers and self._interrupted
            self._interrupted = self._interrupted or SIGINT in numbers
            self._events.append(lifecycle.StopRequested(now=again))
        if SIGCHLD in numbers:
            self._reap()

    def _reap(self) -> None:
        """Collect every process that has ended; a watchdog that was killed is replaced."""
        with suppress(ChildProcessError):
            while pid := process.ended_child():
                self._services.end_group(pid)
                _, status = os.waitpid(pid, 0)
                if pid == self._watchdog.pid:
                    self._replace_watchdog()
                elif exited := self._services.reap(pid, status):
                    self._drop_probe(exited.name)
                    self._timeline[exited.name]["ended"] = self._clock() - self._began
                    self._events.append(exited)

    def _replace_watchdog(self) -> None:
        """Start another watchdog; when there is no room for it, try again soon: the services must go on."""
        try:
            self._watchdog.start()
        except OSError as error:
            if self._watchdog_due == lifecycle.NEVER:
                self._note(f"cannot start another watchdog: {error.strerror}; trying again every {_RETRY:g} s")
            self._watchdog_due = self._clock() + _RETRY
        else:
            self._watchdog_due = lifecycle.NEVER
            self._watchdog.wait_until_ready()

    def _save(self) -> None:
        """Write the state down, unless the home is another supervisor's by now; a full disk must not end this one."""
        if not locks.is_ours(self._instance.lock):
            return
        snapshot = compose_snapshot(
            self._launch, self._state, self._services.identities(), self._timeline, self._snapshot
        )
        if snapshot == self._written:  # a check of liveness that nobody needs to know of
            return
        with suppress(OSError):
            write_snapshot(self._instance, snapshot)
            self._written = snapshot

    def _announce(self, before: lifecycle.State) -> None:
        """Emit an event for each change since `before`."""
        for old, new in zip(before.services, self._state.services, strict=True):
            if (old.phase, old.crashes) != (new.phase, new.crashes):  # a restart that cannot be run leaves the phase
                self._emit(describe_change(new, self._services.log_of(new.plan.name)))
        if before.stage != self._state.stage:
            self._emit({"event": self._state.stage, "failed": self._state.failed})
