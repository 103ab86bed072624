"""Runs the supervisor in the foreground or detached, as the only one of its home; first cleans up after a killed one."""

import gc
import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BufferedWriter
from typing import Any

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.install.install import install_lock
from stigmer_launcher.launch.database import require_usable
from stigmer_launcher.launch.plan import Launch
from stigmer_launcher.supervise import child, leftovers, logfile, phases, state
from stigmer_launcher.supervise.signals import STOP_SIGNALS, SignalPipe
from stigmer_launcher.supervise.supervisor import Supervisor
from stigmer_launcher.system import locks, places, ports, process

_LOG_NAME = "supervisor"

ProgressEvent = dict[str, Any]


def supervise(launch: Launch, emit: Callable[[ProgressEvent], None], detach: Callable[[], None] = lambda: None) -> int:
    """Call `detach`, run as the only supervisor of the home until stopped, and return the exit code.

    Emits `superseded` when the home has a supervisor already, or another start has removed our components.
    """
    gc.freeze()  # imported modules are never collected, so the watchdog keeps sharing their pages
    gc.enable()
    instance = state.Instance(launch.places.run)
    log = logfile.LogFile(logfile.log_path(launch.places.logs, _LOG_NAME), launch.secrets)

    def emit_and_log(event: ProgressEvent) -> None:
        log.write(_describe_event(event).encode(errors="replace") + b"\n")
        emit(event)

    def note(text: str) -> None:
        emit_and_log({"event": "note", "text": text})

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there is a SignalPipe
    try:
        detach()
        os.chdir(launch.places.home)  # the working directory of the services
        if (lock := locks.try_acquire(instance.lock)) is None:
            emit({"event": "superseded"})
            return 0
        with lock:
            _take_over(instance, launch, note)
            with install_lock(launch.places.run, note) as installing, SignalPipe() as signals:
                if not os.path.isdir(launch.directory):
                    emit({"event": "superseded"})
                    return 0
                supervisor = Supervisor(launch, signals, emit_and_log)
                supervisor.save()  # before anything runs, so that other starts keep the version in use
                installing.release()
                return 0 if supervisor.run() else 1
    except KeyboardInterrupt:  # nothing runs
        emit_and_log({"event": phases.STOPPED, "failed": ""})
        return 0
    except (LauncherError, OSError) as caught:
        error = caught if isinstance(caught, LauncherError) else LauncherError(f"the supervisor failed: {caught}")
        emit_and_log({"event": "error", "message": str(error), "remedy": error.remedy, "code": error.exit_code})
        return error.exit_code


def supervise_detached(launch: Launch) -> Iterator[ProgressEvent]:
    """Run the supervisor in a daemon process; yield its events until all services run or it ends.

    Forwards stop signals to it, so that an interrupted start leaves nothing behind, and a second Ctrl-C kills at once.
    """
    reader, writer = os.pipe()
    pending = b""
    with open(reader, "rb", buffering=0) as stream, open(writer, "wb") as events, SignalPipe() as signals:
        pid = child.fork(lambda: _run_detached(launch, events))
        events.close()
        poller = select.poll()
        poller.register(reader, select.POLLIN)
        poller.register(signals.reader, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poller.poll()}
            if signals.reader in ready:
                for signum in filter(STOP_SIGNALS.__contains__, signals.read()):
                    yield {"event": "interrupted"}
                    os.kill(pid, signum)
            if reader in ready:
                if not (data := stream.read(process.PIPE_SIZE)):
                    return
                *lines, pending = (pending + data).split(b"\n")
                yield from map(json.loads, lines)


def check_system(launch: Launch) -> None:
    """Check what a supervisor needs, before it leaves the terminal; LauncherError or OSError when something is missing."""
    places.prepare_home(launch.places.home, launch.places.run, launch.places.logs)
    if problem := next(places.unwritable_files(launch.places.home, launch.places.run, launch.places.logs), None):
        raise problem
    try:
        os.close(os.open(logfile.log_path(launch.places.logs, _LOG_NAME), logfile.APPEND, 0o600))
    except OSError as error:
        raise places.explain(error, launch.places.logs) from error
    process.raise_open_files()
    os.close(os.open(os.devnull, os.O_RDONLY))  # a container may lack it


def _take_over(instance: state.Instance, launch: Launch, note: Callable[[str], None]) -> None:
    """Wait for the watchdog of a killed supervisor, stop leftover services, and check ports and databases."""
    before = state.read_snapshot(instance)
    locks.acquire(instance.watchdog_lock, before.grace + state.STOP_MARGIN, note, state.CLEANUP).release()
    if before.is_clean:
        ports.require_free(launch.ports)
    else:
        if ended := leftovers.stop_all(before.processes, before.token):
            note(f"Ended processes that a killed supervisor had left: {ended}")
        ports.await_free(launch.ports)
    for service in launch.services.values():
        require_usable(service.database, note)


def _run_detached(launch: Launch, events: BufferedWriter) -> int:
    """Run the supervisor as a daemon, and write its events until everything runs, or the process ends."""

    def emit(event: ProgressEvent) -> None:
        with suppress(OSError):  # the command that started us has ended; the services must go on
            if not events.closed:
                events.write(json.dumps(event).encode() + b"\n")  # buffered: a signal cuts a long write(2) off
                finish = events.close if event["event"] == phases.RUNNING else events.flush
                finish()

    log = logfile.log_path(launch.places.logs, _LOG_NAME)
    return supervise(launch, emit, lambda: child.daemonize(log, events.fileno()))


def _describe_event(event: ProgressEvent) -> str:
    """Describe an event for the supervisor's log."""
    if event["event"] == "service":
        pid = f" as process {event['pid']}" if event["pid"] else ""
        return f"{event['service']}: {event['state']}{pid}" + (f": {event['error']}" if event["error"] else "")
    return str(event.get("text") or event.get("message") or f"everything: {event['event']}")
