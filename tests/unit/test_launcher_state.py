"""The saved state of an instance: what it contains, when it is trusted, and how it is reported."""

import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_launcher.cli.commands.status import describe
from stigmer_launcher.launch.plan import Launch, ServiceLaunch, ServicePlan
from stigmer_launcher.readiness.checks import ResolvedProof
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.lifecycle import Event, Exited, Ready, Service, State, decide
from stigmer_launcher.supervise.services import ServiceProcess
from stigmer_launcher.supervise.signals import SignalPipe
from stigmer_launcher.supervise.state import (
    Instance,
    ServiceSnapshot,
    Snapshot,
    cleaning_pid,
    living_snapshot,
    read_snapshot,
    supervisor_pid,
    write_snapshot,
)
from stigmer_launcher.supervise.supervisor import Supervisor, compose_snapshot, describe_change
from stigmer_launcher.system import locks, process
from stigmer_launcher.system.places import find_places
from stigmer_packaging.lib import command
from support.launcher_services import LAUNCHER
from support.mounts import mount_command, needs_mounts

LAUNCH = Launch(
    version="2.0.0",
    version_id="2.0.0-abc",
    directory="/home/versions/2.0.0-abc",
    places=find_places({"STIGMER_HOME": "/home"}),
    token="t0ken",  # noqa: S106 - not a credential
    ports={"server": 7234},
    temporal="127.0.0.1:7233",
    secrets=("secret-value",),
    services={
        "server": ServiceLaunch(
            ServicePlan("server", stop_order=2, grace=7.0),
            "1.2.3",
            ("/bin/server",),
            {"KEY": "secret-value"},
            7234,
            (ResolvedProof("grpc", "127.0.0.1:7234"),),
        ),
    },
)


def after(*rounds: tuple[Event, ...]) -> State:
    """Apply these events at 100 seconds, round by round."""
    state = State({name: Service(service.plan) for name, service in LAUNCH.services.items()})
    for events in ((), *rounds):
        state, _ = decide(state, events, 100.0)
    return state


STARTED = (Ready("server"),)
SERVER = ServiceProcess(LAUNCH, LAUNCH.services["server"], 99.0)
SERVER.snapshot = SERVER.snapshot._replace(pid=77, identity="boot:7")
SERVER.times["spawned"] = 0.1
RUNNING = compose_snapshot(Snapshot(os.getpid(), started=1.0, began=99.0), after(STARTED), {"server": SERVER})


def test_a_running_service_is_saved_with_its_identity() -> None:
    """Enough to stop it, and no other process, after its supervisor was killed."""
    assert RUNNING.state == phases.RUNNING
    assert RUNNING.processes == [SERVER.snapshot._replace(state=phases.RUNNING, since=100.0)]
    assert RUNNING.timeline == {"server": {"spawned": 0.1}}


def test_the_state_is_saved_before_any_service_runs_and_without_secrets(tmp_path: Path) -> None:
    """Otherwise the version in use could be removed."""
    places = find_places({"STIGMER_HOME": str(tmp_path)})
    launch = LAUNCH._replace(places=places, asked_ports={"server": 7234}, job="local.stigmer")
    (tmp_path / "run").mkdir()
    with locks.acquire(Instance(places.run).lock, 1), SignalPipe() as signals:
        Supervisor(launch, signals, lambda _: None).save()
        written = read_snapshot(Instance(places.run))
    fields = ("version", "token", "temporal", "job", "ports", "asked_ports")
    assert [getattr(written, field) for field in fields] == [getattr(launch, field) for field in fields]
    assert (written.installed, written.logs, written.state, written.processes) == (
        launch.version_id,
        places.logs,
        phases.STARTING,
        [],
    )
    assert written.services == (
        ServiceSnapshot("server", "waiting", stop_order=2, grace=7.0, port=7234, version="1.2.3"),
    )
    assert "secret-value" not in (tmp_path / "run" / "state.json").read_text()


def test_a_server_with_an_ended_service_is_degraded() -> None:
    state = after(STARTED, (Exited("server", "exited with status 1"),))
    composed = compose_snapshot(Snapshot(), state, {"server": ServiceProcess(LAUNCH, LAUNCH.services["server"], 99.0)})
    assert composed.state == phases.DEGRADED
    assert composed.services[0].last_error == "exited with status 1"
    assert composed.processes == []


def test_a_failure_event_has_the_last_lines_and_a_degraded_event_the_reason(tmp_path: Path) -> None:
    launch = LAUNCH._replace(places=find_places({"STIGMER_HOME": str(tmp_path)}))
    server = ServiceProcess(launch, launch.services["server"], 0.0)
    server.log.write(b"one\n\xff\n")
    failed = Service(server.launch.plan, error="exited", not_ready_reason="no answer")
    for service, error, lines in (
        (failed, "exited", ["one", "\ufffd"]),
        (failed._replace(phase=phases.DEGRADED), "does not answer: no answer", []),
        (failed._replace(error=""), "", []),
    ):
        change = describe_change(service, server)
        assert (change["error"], change["lines"], change["log"]) == (error, lines, server.log.path)
    external = failed._replace(plan=failed.plan._replace(managed=False))
    assert describe_change(external, server)["log"] == ""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Instance]:
    """Yield an instance whose supervisor is this process."""
    instance = Instance(str(tmp_path))
    lock = locks.try_acquire(instance.lock)
    assert lock is not None
    with lock:
        yield instance


def test_the_state_is_read_back_and_trusted_only_if_its_writer_holds_the_lock(place: Instance) -> None:
    """A file left by another process says nothing about the running one."""
    write_snapshot(place, RUNNING)
    assert living_snapshot(place) == read_snapshot(place) == RUNNING
    write_snapshot(place, left := RUNNING._replace(supervisor_pid=os.getpid() + 1))
    assert living_snapshot(place) == Snapshot()
    assert read_snapshot(place) == left


def test_reading_the_state_of_a_running_server_is_retried_while_its_file_is_missing(place: Instance) -> None:
    """rename(2) is not atomic on NFS and FUSE file systems; commands once reported that the server had stopped."""
    write_snapshot(place, RUNNING)
    hidden = Path(place.state).rename(f"{place.state}.hidden")
    threading.Timer(0.05, hidden.rename, (place.state,)).start()
    assert living_snapshot(place) == RUNNING


def test_a_state_file_is_valid_where_it_was_written_or_moved_to_but_not_in_a_copy(tmp_path: Path) -> None:
    """A copied home lists the processes of the original, which commands in the copy must not stop."""
    first = tmp_path / "first"
    first.mkdir()
    write_snapshot(Instance(str(first)), RUNNING)
    shutil.copytree(first, tmp_path / "copy")
    assert read_snapshot(Instance(str(tmp_path / "copy"))) == Snapshot()
    moved = first.rename(tmp_path / "moved")
    assert read_snapshot(Instance(str(moved))) == RUNNING


def test_a_state_file_stays_valid_when_its_directory_gets_another_inode(tmp_path: Path) -> None:
    """As on some FUSE file systems; no command then found the services of a killed server."""
    run = tmp_path / "run"
    run.mkdir()
    write_snapshot(Instance(str(run)), RUNNING)
    inode = run.stat().st_ino
    shutil.copytree(run.rename(tmp_path / "before"), run)
    assert run.stat().st_ino != inode
    (tmp_path / "link").symlink_to(tmp_path)
    assert read_snapshot(Instance(str(tmp_path / "link" / "run"))) == RUNNING


def test_without_a_lock_no_server_runs(tmp_path: Path) -> None:
    place = Instance(str(tmp_path / "run"))
    assert (supervisor_pid(place), cleaning_pid(place)) == (0, 0)
    assert living_snapshot(place) == read_snapshot(place) == Snapshot()
    assert not (tmp_path / "run").exists()


def test_the_state_file_is_private_and_replaced_atomically(place: Instance) -> None:
    write_snapshot(place, Snapshot(1, version="x" * 100_000))
    assert stat.S_IMODE(Path(place.state).stat().st_mode) == 0o600
    pids, done = set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            pids.add(read_snapshot(place).supervisor_pid)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2, 100):
        write_snapshot(place, Snapshot(number, version="x" * 100_000))
    done.set()
    reader.join()
    assert pids
    assert 0 not in pids
    assert list(Path(place.run).glob("*.new")) == []


WRITES_ON_A_FULL_DISK = """
import itertools, pathlib, sys
from stigmer_launcher.supervise.state import Instance, Snapshot, read_snapshot, write_snapshot

disk = pathlib.Path(sys.argv[1])
place = Instance(str(disk))
write_snapshot(place, Snapshot(7, version="1" * int(sys.argv[2])))
try:
    for number in itertools.count():
        (disk / str(number)).write_bytes(bytes(4096))
except OSError as error:
    print(error.strerror)
for version in ("2" * 5000, "3"):
    write_snapshot(place, Snapshot(7, version=version))
    print(read_snapshot(place).version[:1])
"""


@needs_mounts
@pytest.mark.parametrize("options", ["size=64k", "size=1m,nr_inodes=6"], ids=["blocks", "inodes"])
@pytest.mark.parametrize("length", ["1", "20000"], ids=["after a short state", "after a long state"])
def test_the_state_is_written_on_a_full_disk(tmp_path: Path, options: str, length: str) -> None:
    """As long as the disk was full, the status named processes that had ended, and commands waited for minutes."""
    program = [sys.executable, "-c", WRITES_ON_A_FULL_DISK, str(tmp_path), length]
    ran = command.run([*mount_command(options, tmp_path), *program], env={**os.environ, "PYTHONPATH": str(LAUNCHER)})
    assert ran.stdout.splitlines() == ["No space left on device", "2", "3"]


def test_only_a_running_service_has_an_uptime() -> None:
    running = describe(RUNNING, "running", 5, 160.0)["services"][0]
    assert (running["state"], running["pid"], running["uptime"]) == ("running", 77, 60.0)
    stopped = describe(RUNNING, "stopped", 0, 160.0)["services"][0]
    assert (stopped["state"], stopped["pid"], stopped["uptime"]) == ("stopped", 0, 0)
    assert describe(Snapshot(), "stopped", 0, 160.0)["services"] == []


def test_services_that_still_run_while_a_watchdog_cleans_up_are_reported() -> None:
    """They were once all reported as stopped."""
    for identity, expected in (
        (process.identity(os.getpid()), (phases.CLEANING, os.getpid())),
        ("gone", ("stopped", 0)),
    ):
        services = (RUNNING.services[0]._replace(pid=os.getpid(), identity=identity),)
        (found,) = describe(RUNNING._replace(services=services), phases.CLEANING, 0, 160.0)["services"]
        assert (found["state"], found["pid"]) == expected


def test_a_state_that_is_nested_too_deeply_is_ignored(place: Instance) -> None:
    Path(place.state).write_text("[" * 100_000)
    assert read_snapshot(place) == Snapshot()


def test_a_value_of_a_wrong_type_is_replaced_by_its_default(place: Instance) -> None:
    """The file may be damaged or of another version; its valid values are still used."""
    Path(place.state).write_text(
        '{"format": 1, "supervisor_pid": "7", "version": "2.0.0", "token": 7, "started": NaN, "began": -1, "more": 1,'
        ' "ports": {"server": 7234, "ui": true, "web": 99999, "api": 0},'
        ' "timeline": {"server": {"ready": 1, "spawned": "x"}, "x": 3},'
        ' "services": [3, {"name": "server", "pid": true, "managed": 1, "grace": 7, "stop_order": 2.5, "port": -1}]}'
    )
    assert read_snapshot(place) == Snapshot(
        version="2.0.0",
        ports={"server": 7234},
        timeline={"server": {"ready": 1}},
        services=(ServiceSnapshot("server", grace=7),),
    )
    Path(place.state).write_text('{"format": 2, "version": "9.0.0"}')
    assert read_snapshot(place) == Snapshot(), "keys of another format may mean something else"


def test_a_stop_may_take_the_sum_of_the_longest_graces_of_all_stop_orders() -> None:
    services = ((1, 30.0), (1, 5.0), (2, 1.0), (2, 7.0), (3, 2.0))
    snapshot = Snapshot(services=tuple(ServiceSnapshot(stop_order=order, grace=grace) for order, grace in services))
    assert snapshot.grace == 39.0
    assert Snapshot().grace == 0.0
