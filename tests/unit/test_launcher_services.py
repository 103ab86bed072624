"""`stigmer server start`, `stop` and `restart` beside a running server: waiting, kept ports, and refused requests."""

import errno
import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.cli.commands import services
from stigmer_launcher.cli.commands import start as start_module
from stigmer_launcher.cli.commands import stop as stop_module
from stigmer_launcher.cli.parse import parse
from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.errors import BusyError, DegradedError, LauncherError, PortError, StoppedError
from stigmer_launcher.supervise import control, lifecycle, phases, state
from stigmer_launcher.supervise.state import Instance, ServiceSnapshot, Snapshot, write_snapshot
from stigmer_launcher.system import locks
from support.launcher_services import raising_oserror

SERVICE = ServiceSnapshot("server", state=phases.RUNNING, since=1.0, managed=True)
_MANY = 1000  # requests of 1300 bytes, more than any system's FIFO holds
DOWN = SERVICE._replace(state=phases.BACKOFF, since=2.0, last_error="exited with status 1")


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """Yield an instance whose supervisor is this process; commands wait for it only briefly."""
    monkeypatch.setattr(services, "_TIMEOUT", 0.1)
    (tmp_path / "run").mkdir()
    instance = Instance(str(tmp_path / "run"))
    with locks.acquire(instance.lock, 1):
        yield instance


def context_of(instance: Instance) -> Context:
    terminal = Terminal(io.StringIO(), live=False, colour=False, unicode=False)
    return Context({"STIGMER_HOME": str(Path(instance.run).parent)}, terminal, terminal)


def printed(context: Context) -> str:
    return context.out.stream.getvalue()  # type: ignore[attr-defined,no-any-return]


def restarted(instance: Instance, monkeypatch: pytest.MonkeyPatch, state: str) -> str:
    """Restart a service that ends and does not come back while the server is in `state`; return the output."""

    def write(state: str, service: ServiceSnapshot) -> None:
        write_snapshot(instance, Snapshot(os.getpid(), state=state, services=(service,)))

    def request(_instance: Instance, _verb: str, _names: Sequence[str]) -> None:
        write(state, DOWN)

    monkeypatch.setattr(control, "request", request)
    write(phases.RUNNING, SERVICE)
    context = context_of(instance)
    error = DegradedError if state == phases.DEGRADED else BusyError
    with pytest.raises(error):
        services.restart_services(["server"], context)
    return printed(context)


def test_a_restart_says_what_it_waits_for_and_ends_as_degraded(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = restarted(instance, monkeypatch, phases.DEGRADED)
    assert f"The server (pid {os.getpid()}) is restarting services; waiting\n" in output


def test_a_service_restart_in_a_server_that_keeps_stopping_ends_as_busy(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = restarted(instance, monkeypatch, phases.STOPPING)
    assert f"The server (pid {os.getpid()}) is stopping; waiting\n" in output


@pytest.mark.parametrize(
    ("options", "settings"),
    [((), ""), (("--port", "server=7300"), "stigmer config set ports.server 7300 && ")],
    ids=["the same ports", "another port"],
)
def test_a_server_in_a_unit_is_restarted_by_its_service_manager_alone(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], settings: str
) -> None:
    """The service manager would restart no new server after a crash, and `brew services stop` would not stop it."""
    monkeypatch.setattr(stop_module, "stop_server", lambda *_: pytest.fail("it was stopped"))
    write_snapshot(instance, Snapshot(os.getpid(), state=phases.RUNNING, job="homebrew.mxcl.stigmer"))
    with pytest.raises(LauncherError, match=r"^the server runs in the unit homebrew\.mxcl\.stigmer$") as caught:
        start_module.restart(parse(["server", "restart", *options]), context_of(instance))
    assert caught.value.remedy == f"run `{settings}brew services restart stigmer`"


@pytest.mark.parametrize(
    ("service", "waits"),
    [
        (DOWN, True),
        (SERVICE._replace(state=phases.DEGRADED), True),
        (SERVICE._replace(state=phases.PROVING), True),
        (SERVICE._replace(state=phases.DEGRADED, managed=False), False),
        (SERVICE._replace(state=phases.STOPPED), False),
        (SERVICE._replace(state=phases.WAITING), False),  # for one that is stopped
    ],
    ids=lambda each: f"{each.state} {each.managed}" if isinstance(each, ServiceSnapshot) else "",
)
def test_a_command_waits_only_for_services_that_may_work_again_soon(
    instance: Instance, service: ServiceSnapshot, *, waits: bool
) -> None:
    external = SERVICE._replace(name="temporal", managed=False)
    snapshot = Snapshot(os.getpid(), state=phases.DEGRADED, services=(service, external))
    write_snapshot(instance, snapshot)
    context = context_of(instance)
    assert services.await_running(instance, context.out, start_stopped=False) == snapshot
    assert ("is restarting services; waiting" in printed(context)) is waits


class EndingServer(io.StringIO):
    """A terminal that ends the server just before a command sends it a request."""

    def __init__(self, lock: locks.Lock) -> None:
        super().__init__()
        self._lock = lock

    def write(self, text: str) -> int:
        """End the server, then write."""
        self._lock.release()
        return super().write(text)


def test_a_server_that_ends_just_before_a_request_counts_as_stopped(tmp_path: Path) -> None:
    """The command once reported that the running server takes no requests."""
    (tmp_path / "run").mkdir()
    instance = Instance(str(tmp_path / "run"))
    lock = locks.acquire(instance.lock, 1)
    write_snapshot(instance, Snapshot(os.getpid(), state=phases.RUNNING, services=(SERVICE,)))
    out = Terminal(EndingServer(lock), live=True, colour=False, unicode=False)
    assert services.stop_services(["server"], context_of(instance)._replace(out=out)) == 0
    assert out.stream.getvalue().endswith("Server is not running\n")  # type: ignore[attr-defined]


def test_a_start_beside_a_launchd_job_names_the_command_that_stops_it(instance: Instance) -> None:
    """After `stigmer server stop`, launchd would start the server again."""
    job = "homebrew.mxcl.stigmer"
    write_snapshot(instance, Snapshot(os.getpid(), state=phases.RUNNING, job=job, services=(SERVICE,)))
    context = context_of(instance)
    assert start_module.start(parse(["server"]), context) == 0
    assert "  stop  brew services stop stigmer\n" in printed(context)


def test_a_restart_whose_ports_are_taken_by_another_start_restarts_that_one(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once failed because the port was taken by Temporal, which it was about to stop."""
    held: list[list[int]] = []

    def prepare(*_: object, held_ports: Collection[int], **__: object) -> None:
        held.append([*held_ports])
        write_snapshot(instance, Snapshot(os.getpid(), state=phases.STARTING, ports={"server": 7234}))
        raise PortError("port 7234 (server) is taken")

    monkeypatch.setattr(start_module, "prepare", prepare)
    with pytest.raises(PortError):  # taken by another program, as the state has not changed since
        start_module.restart(parse(["server", "restart"]), context_of(instance))
    assert held == [[], [7234]]


def test_a_restart_keeps_the_ports_although_the_state_could_not_be_read_once(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be missing while it is replaced, or descriptors may run out: --port was then forgotten."""
    snapshot = Snapshot(os.getpid(), state=phases.RUNNING, asked_ports={"server": 7300}, services=(SERVICE,))
    write_snapshot(instance, snapshot)
    kept: list[Mapping[str, int]] = []
    failures = [raising_oserror(errno.ENFILE)]

    def open_later(*arguments: Any, **options: Any) -> Any:
        if failures and arguments[0] == instance.state:
            failures.pop()()
        return open(*arguments, **options)  # noqa: PTH123 - as the launcher calls it

    def prepare(
        _environ: Mapping[str, str], _asked: Mapping[str, int], ports: Mapping[str, int], *_: Any, **__: Any
    ) -> None:
        kept.append(ports)
        raise LauncherError("seen")

    monkeypatch.setattr(state, "open", open_later, raising=False)
    monkeypatch.setattr(start_module, "prepare", prepare)
    with pytest.raises(LauncherError, match="seen"):
        start_module.restart(parse(["server", "restart"]), context_of(instance))
    assert (kept, failures) == ([{"server": 7300}], [])


def test_a_restart_beside_a_waiting_start_keeps_the_ports_of_the_killed_server(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That start holds the lock but has no state yet; the restart once forgot --port and retried in a loop."""
    write_snapshot(instance, Snapshot(1, state=phases.RUNNING, asked_ports={"server": 7300}, ports={"server": 7300}))
    prepared: list[tuple[Mapping[str, int], list[int]]] = []

    def prepare(
        _environ: Any, _asked: Any, kept: Mapping[str, int], *_: Any, held_ports: Collection[int], **__: Any
    ) -> None:
        prepared.append((kept, [*held_ports]))
        raise PortError("port 7300 (server) is taken")

    monkeypatch.setattr(start_module, "prepare", prepare)
    with pytest.raises(PortError):
        start_module.restart(parse(["server", "restart"]), context_of(instance))
    assert prepared == [({"server": 7300}, [7300])]


def test_requests_that_another_program_has_read_are_not_an_error(instance: Instance) -> None:
    """`cat` on the FIFO may take them between the supervisor's poll and its read."""
    with closing(control.Control(instance.control)) as requests:
        control.request(instance, lifecycle.STOP, ["server"])
        reader = os.open(instance.control, os.O_RDONLY | os.O_NONBLOCK)
        assert os.read(reader, 100) == b"stop server\n"
        os.close(reader)
        assert list(requests.read_requests(["server"])) == []


def test_requests_to_a_supervisor_that_could_not_open_both_ends_are_refused(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The FIFO had a reader, so a command wrote its request and waited half a minute in vain."""
    with monkeypatch.context() as patched:

        def open_for_reading(path: str, flags: int, open_file: Callable[[str, int], int] = os.open) -> int:
            return raising_oserror(errno.EMFILE)() if flags == os.O_WRONLY else open_file(path, flags)

        patched.setattr(os, "open", open_for_reading)
        unusable = control.Control(instance.control)
    with closing(unusable), pytest.raises(LauncherError, match="takes no requests"):
        control.request(instance, lifecycle.STOP, ["server"])


def test_a_request_that_the_supervisor_does_not_read_is_refused(instance: Instance) -> None:
    """A suspended supervisor reads none, and the capacity of the FIFO is limited."""

    def request_often() -> None:
        for _ in range(_MANY):
            control.request(instance, lifecycle.START, ["server"] * 100)

    with closing(control.Control(instance.control)), pytest.raises(LauncherError, match="takes no requests"):
        request_often()


def test_a_service_is_not_called_unknown_where_no_service_is_known(tmp_path: Path) -> None:
    """Without a usable keg, an error once read `there is no service temporal; there are `, with nothing after it."""
    context = context_of(state.Instance(str(tmp_path / "run")))
    with pytest.raises(StoppedError, match="the server is stopped"):
        services.restart_services(["temporal"], context)
