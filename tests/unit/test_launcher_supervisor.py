"""Start and end of the supervisor: signals, missing resources, long events, and when its state becomes stopped."""

import errno
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stigmer_launcher.cli.commands.stop import stop_server
from stigmer_launcher.cli.terminal import Terminal
from stigmer_launcher.errors import BusyError, HomeError, LimitError
from stigmer_launcher.launch.plan import Launch, ServiceLaunch, ServicePlan
from stigmer_launcher.supervise import child, daemon, leftovers, lifecycle, phases, state, supervisor, watchdog
from stigmer_launcher.supervise.services import ServiceProcess
from stigmer_launcher.supervise.signals import SignalPipe
from stigmer_launcher.supervise.state import Instance, ServiceSnapshot, read_snapshot
from stigmer_launcher.supervise.supervisor import Supervisor
from stigmer_launcher.system import locks, process
from stigmer_launcher.system.places import find_places
from support.launcher_services import eventually, hold, raising_oserror, read_line


def launch_of(home: str) -> Launch:
    """Return a launch without services."""
    return Launch("2.0.0", "2.0.0-abc", home, find_places({"STIGMER_HOME": home}), "", {}, "127.0.0.1:7233", (), {})


def test_an_interrupt_right_after_the_fork_reaches_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as running:

        def fork(_: Callable[[], None]) -> int:
            os.kill(os.getpid(), signal.SIGINT)
            return running.pid

        monkeypatch.setattr(child, "fork", fork)
        try:
            assert list(daemon.supervise_detached(launch_of("/home"))) == [{"event": "interrupted"}]
            assert running.wait(10) == -signal.SIGINT
        except KeyboardInterrupt:
            pytest.fail("the interrupt ended the command but not the supervisor")
        finally:
            running.kill()


@pytest.mark.parametrize("command", ["stop", "start"])
def test_a_command_waits_for_a_watchdog_as_long_as_the_services_may_take(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It once gave up after a minute, whatever the manifest said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(state, "STOP_MARGIN", 0.1)
    launch, messages = launch_of(str(tmp_path)), list[str]()
    instance = Instance(launch.places.run)
    Path(instance.run).mkdir()
    services = tuple(ServiceSnapshot(name, stop_order=order, grace=0.2) for order, name in enumerate("abc"))
    state.write_snapshot(instance, state.Snapshot(os.getpid(), state=phases.RUNNING, services=services))
    with hold(Path(instance.watchdog_lock)) as holder:
        assert read_line(holder) == "held\n"
        if command == "start":
            daemon.supervise(launch, lambda event: messages.append(event.get("message", "")))
        else:
            with pytest.raises(BusyError) as caught:
                stop_server(instance, Terminal(io.StringIO(), live=False, colour=False, unicode=False))
            messages.append(str(caught.value))
    reason = "which stops the services of a killed supervisor, has not finished within 0.7 s"
    assert messages[-1] == f"process {holder.pid}, {reason}"


def test_a_signal_does_not_truncate_a_long_event(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last lines of a service may exceed the capacity of a pipe, and a signal interrupts a blocked write."""
    interrupted = tmp_path / "interrupted"
    events: list[daemon.ProgressEvent] = [
        {"event": "note"},
        {"event": "service", "lines": ["x" * 200_000]},
        {"event": phases.RUNNING},
    ]

    def supervise(_: Launch, emit: Callable[[daemon.ProgressEvent], None], detach: Callable[[], None]) -> int:
        detach()
        signal.signal(signal.SIGALRM, lambda *_: interrupted.touch())
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        for event in events:
            emit(event)
        return 0

    monkeypatch.setattr(daemon, "supervise", supervise)
    (tmp_path / "logs").mkdir()
    received = []
    for event in daemon.supervise_detached(launch_of(str(tmp_path))):
        received.append(event)
        eventually(interrupted.exists, "a signal during the write of the long event")
    assert received == events


def test_simultaneous_stop_signals_are_all_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the highest once was, so that a second Ctrl-C, which kills immediately, could be lost."""
    forwarded: list[tuple[int, int]] = []

    def fork(_: Callable[[], None]) -> int:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(signum)
        return 4711

    monkeypatch.setattr(child, "fork", fork)
    monkeypatch.setattr(os, "kill", lambda *sent: forwarded.append(sent))
    events = list(daemon.supervise_detached(launch_of("/home")))
    assert forwarded == [(4711, signal.SIGINT), (4711, signal.SIGTERM)]
    assert events == [{"event": "interrupted"}] * 2


@pytest.mark.parametrize(
    ("module", "call"), [(os, "setsid"), (os, "dup2"), (os, "chdir"), (os, "pipe"), (socket, "socketpair")]
)
def test_a_system_call_that_fails_in_the_supervisor_is_reported_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], module: ModuleType, call: str
) -> None:
    """A traceback was once on the terminal or in the log, and the start reported no reason."""
    launch = launch_of(str(tmp_path))
    daemon.check_system(launch)
    with monkeypatch.context() as patched:
        events = daemon.supervise_detached(launch)
        run_child = daemon.supervise

        def supervise(*arguments: Any) -> int:
            patched.setattr(module, call, raising_oserror(errno.ENFILE))
            return run_child(*arguments)

        patched.setattr(daemon, "supervise", supervise)
        (event,) = events
    assert (event["event"], event["code"]) == ("error", 1)
    assert os.strerror(errno.ENFILE) in event["message"]
    log = (tmp_path / "logs/supervisor.log").read_text(encoding="utf-8")
    assert "Traceback" not in capfd.readouterr().err + log
    assert event["message"] in log


def test_a_missing_null_device_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may lack /dev/null."""
    launch = launch_of(str(tmp_path))
    daemon.check_system(launch)
    monkeypatch.setattr(os, "devnull", str(tmp_path / "null"))
    (event,) = daemon.supervise_detached(launch)
    assert event["message"] == f"the supervisor failed: [Errno 2] No such file or directory: '{tmp_path}/null'"


def test_a_missing_null_device_is_reported_before_a_start_in_the_foreground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first service was once blamed for it."""
    monkeypatch.setattr(os, "devnull", str(tmp_path / "null"))
    with pytest.raises(FileNotFoundError, match="null"):
        daemon.check_system(launch_of(str(tmp_path)))


def test_a_directory_in_place_of_the_log_is_reported_before_the_fork(tmp_path: Path) -> None:
    """Container runtimes create one as a mount point for a missing file. The start once printed a traceback."""
    log = tmp_path / "logs/supervisor.log"
    log.mkdir(parents=True)
    with pytest.raises(HomeError, match=f"{log} is in the way: it is a directory"):
        daemon.check_system(launch_of(str(tmp_path)))


def test_the_events_of_a_failed_start_end_after_its_supervisor_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed start once returned while its supervisor was still exiting."""
    fork = child.fork

    def fork_slowly_ending(run: Callable[[], int]) -> int:
        def run_child() -> int:
            code = run()
            time.sleep(0.2)
            (tmp_path / "ended").touch()
            return code

        return fork(run_child)

    monkeypatch.setattr(child, "fork", fork_slowly_ending)
    assert [event["event"] for event in daemon.supervise_detached(launch_of(str(tmp_path / "home")))] == ["error"]
    assert (tmp_path / "ended").exists()


def test_a_home_that_is_removed_before_the_supervisor_begins_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The start once printed a traceback."""
    (event,) = daemon.supervise_detached(launch_of(str(tmp_path / "home")))
    assert (event["event"], event["code"]) == ("error", 1)
    assert event["message"].startswith("the supervisor failed: [Errno 2] No such file or directory: ")
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux to be another user")
@pytest.mark.parametrize("processes", [1, 2])  # the second would be the supervisor, the third its watchdog
def test_a_process_limit_is_reported_with_the_setting_to_raise(processes: int) -> None:
    """The supervisor is detached when it starts its watchdog; its log once had a traceback, the start no reason."""
    program = (
        f"import json, os, sys; sys.path.insert(0, {str(Path(daemon.__file__).parents[2])!r})\n"
        "from stigmer_launcher.errors import LauncherError\n"
        "from stigmer_launcher.launch.plan import Launch\n"
        "from stigmer_launcher.supervise import daemon\n"
        "from stigmer_launcher.system.places import find_places\n"
        "home = sys.argv[1]\n"
        "places = find_places({'STIGMER_HOME': home})\n"
        "launch = Launch('2.0.0', '2.0.0-abc', home, places, '', {}, '127.0.0.1:7233', (), {})\n"
        "os.setuid(54321)\n"
        "os.mkdir(places.run), os.mkdir(places.logs)\n"
        "try:\n"
        "    events = list(daemon.supervise_detached(launch))\n"
        "except LauncherError as error:\n"
        "    events = [{'event': 'error', 'message': str(error), 'remedy': error.remedy}]\n"
        "print(json.dumps(events))\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as home:  # accessible to another user
        Path(home).chmod(0o777)
        result = subprocess.run(
            [sys.executable, "-B", "-c", program, home],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes)),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        (event,) = json.loads(result.stdout)
        assert event["event"] == "error"
        assert event["message"] == "the system allows no further process: Resource temporarily unavailable"
        assert "`ulimit -u`" in event["remedy"]
        log = Path(home, "logs", "supervisor.log")
        assert not log.exists() or "Traceback" not in log.read_text(encoding="utf-8")


def test_a_pid_that_is_reused_during_a_stop_gets_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services of a lower stop order are signalled only after the grace periods of the others."""
    first = ServiceSnapshot(pid=4_194_001, identity="boot:1", stop_order=2, grace=1.0)
    second = ServiceSnapshot(pid=4_194_002, identity="boot:2", stop_order=1, grace=1.0)
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(leftovers, "is_alive", lambda _: not sent)
    monkeypatch.setattr(process, "signal_group", lambda pid, number: sent.append((pid, number)))
    assert leftovers.stop_all([first, second], "") == 2
    assert (first.pid, signal.SIGTERM) in sent
    assert (second.pid, signal.SIGTERM) not in sent


def test_escaped_processes_are_killed_before_the_state_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If supervisor and watchdog are killed, the next start ignores processes of a run whose state is stopped."""
    launch = launch_of(str(tmp_path))
    run = launch.places.run
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    states: list[str] = []

    def kill_escaped(token: str) -> int:
        states.append(read_snapshot(Instance(run)).state)
        return 0

    monkeypatch.setattr(leftovers, "kill_escaped", kill_escaped)
    with locks.acquire(Instance(run).lock, 1), SignalPipe() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert Supervisor(launch, signals, lambda _: None).run()
    assert states == [phases.RUNNING]
    assert read_snapshot(Instance(run)).state == phases.STOPPED


def test_the_supervisor_ends_although_a_killed_service_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits for a hung network drive keeps its process alive and waitpid(2) from returning."""
    for module in (lifecycle, process):
        monkeypatch.setattr(module, "KILL_TIMEOUT", 0.1)
    for name in ("signal_group", "send_signal"):
        monkeypatch.setattr(process, name, lambda *_: None)
    token = os.urandom(16).hex()
    environment = {process.RUN_TOKEN: token}
    service = ServiceLaunch(ServicePlan("stuck", grace=0.1), "2.0.0", ("/bin/sleep", "60"), environment, 0, ())
    launch = launch_of(str(tmp_path))._replace(services={"stuck": service}, token=token)
    instance = Instance(launch.places.run)
    events: list[daemon.ProgressEvent] = []
    (tmp_path / "run").mkdir()
    (tmp_path / "logs").mkdir()
    with locks.acquire(instance.lock, 1), SignalPipe() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert Supervisor(launch, signals, events.append).run()
    pid = next(event["pid"] for event in events if event.get("pid"))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    note = f"stuck was killed and has not ended: see `ps -o stat,wchan {pid}`"
    assert {"event": "note", "text": note} in events
    assert read_snapshot(instance).state == phases.STOPPED


def test_a_service_does_not_open_a_damaged_database(tmp_path: Path) -> None:
    """Not even when it is restarted: the file may have been damaged since the start."""
    (tmp_path / "t.db").write_text("not a database")
    plan = ServicePlan("temporal")
    service = ServiceLaunch(plan, "2.0.0", ("/bin/sh", "-c", "exit 1"), {}, 0, (), database=str(tmp_path / "t.db"))
    launch = launch_of(str(tmp_path))._replace(services={"temporal": service})
    events: list[daemon.ProgressEvent] = []
    (tmp_path / "run").mkdir()
    with locks.acquire(Instance(launch.places.run).lock, 1), SignalPipe() as signals:
        assert not Supervisor(launch, signals, events.append).run()
    (error,) = [event["error"] for event in events if event.get("state") == phases.FAILED]
    assert error.startswith(f"could not be run: {tmp_path}/t.db is damaged and may hold workflow history")


def test_a_killed_watchdog_that_cannot_be_replaced_is_replaced_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The services run on while the system has no process or descriptor to spare."""
    monkeypatch.setattr(supervisor, "_INTERVAL", 0.05)
    start, started = watchdog.Watchdog.start, list[watchdog.Watchdog]()
    outcomes = iter([None, OSError(errno.ENFILE, "too many open files"), LimitError("no further process"), None])

    def start_at_last(self: watchdog.Watchdog) -> None:
        if error := next(outcomes):
            raise error
        start(self)
        started.append(self)
        if len(started) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    def emit(event: daemon.ProgressEvent) -> None:
        if event["event"] == phases.RUNNING:
            os.kill(started[0].pid, signal.SIGKILL)

    monkeypatch.setattr(watchdog.Watchdog, "start", start_at_last)
    launch = launch_of(str(tmp_path))
    (tmp_path / "run").mkdir()
    with locks.acquire(Instance(launch.places.run).lock, 1), SignalPipe() as signals:
        assert Supervisor(launch, signals, emit).run()
    assert len(started) == 2


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """Yield the process, not started yet, of a service that prints a line and ends when the file `end` exists."""
    (tmp_path / "logs").mkdir()
    script = f"echo last words; while [ ! -e {tmp_path}/end ]; do sleep 0.02; done"
    plan = ServiceLaunch(ServicePlan("talker"), "2.0.0", ("/bin/sh", "-c", script), {"PATH": os.environ["PATH"]}, 0, ())
    service = ServiceProcess(launch_of(str(tmp_path)), plan, 0.0)
    yield service
    service.signal(signal.SIGKILL, "killed")


def reaped(service: ServiceProcess) -> lifecycle.Exited:
    """Wait for the end of the process without reading its output, and reap it."""
    os.waitid(os.P_PID, service.snapshot.pid, os.WEXITED | os.WNOWAIT)
    return service.reap()


def test_a_service_that_has_ended_leaves_its_last_words_and_nothing_open(
    service: ServiceProcess, tmp_path: Path
) -> None:
    """The descriptors of a server that restarts a service for days would run out."""
    (tmp_path / "end").touch()
    listed: list[set[Path]] = []
    for _ in range(2):
        service.start()
        assert reaped(service) == lifecycle.Exited("talker", "exited with status 0")
        assert (service.log.end(), service.snapshot.pid) == ([b"last words"], 0), "not those of the run before"
        listed.append(set(Path("/dev/fd").iterdir()))  # its log stays open
    assert listed[0] == listed[1]


def test_a_service_that_was_killed_once_can_be_killed_again(service: ServiceProcess) -> None:
    """What happened to its earlier process says nothing about the new one, and is not shown as its timeline."""
    for _ in range(2):
        service.start()
        assert set(service.times) == {"spawned"}
        service.signal(signal.SIGKILL, "killed")
        assert reaped(service).killed
        assert set(service.times) == {"spawned", "killed", "ended"}
