"""Doctor checks ports and server, and distinguishes processes of this home from other programs."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from stigmer_launcher.cli.commands.doctor import Report
from stigmer_launcher.doctor import server
from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.readiness import channel, grpc
from stigmer_launcher.system import locks, ports, process, service_manager
from stigmer_launcher.system.places import Places
from support.doctoring import every, found, look, write_state
from support.launcher_payloads import build_libexec, part
from support.launcher_services import free_ports


@pytest.fixture(name="port")
def _port() -> Iterator[int]:
    """Listen on a port in this process, which plays a service or another program."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def write_server_state(places: Places, service: Mapping[str, Any] = MappingProxyType({}), **changes: Any) -> None:
    """Write the state of a server like its supervisor; this process plays both supervisor and service."""
    pid = os.getpid()
    own = {"name": "stigmer-server", "state": "running", "pid": pid, "identity": process.identity(pid), **service}
    state = {"format": 1, "state": "running", "supervisor_pid": pid, "version": "1.0.0", "installed": "1.0.0-aaa"}
    write_state(places, {**state, "services": [own], **changes})


FAILED = {"state": "failed", "pid": 0, "identity": ""}


def about_port(report: Report, port: int) -> list[Finding]:
    """Return the findings about this port, such as that other machines can reach it."""
    return [each for each in every(report) if f"port {port} " in each.text]


@pytest.fixture(name="supervised")
def _supervised(places: Places) -> Iterator[None]:
    """Hold the supervisor's lock, as a running server does."""
    Path(places.run).mkdir(parents=True)
    with locks.try_acquire(f"{places.run}/supervisor.lock") or pytest.fail("free"):
        yield


# --- ports ---------------------------------------------------------------------------------------------------------------


def test_a_port_of_another_program_is_a_problem_with_its_owner_and_a_free_one_is_not(
    tmp_path: Path, places: Places, port: int
) -> None:
    (free,) = free_ports(1)
    report = look(build_libexec(tmp_path, (part("a", ports=(("server", port), ("temporal", free))),)), places)
    finding = found(report, "Ports", "server")
    assert finding.level == PROBLEM
    assert finding.text.startswith(f"port {port} (server) is taken by ")
    assert f"(process {os.getpid()})" in finding.text
    assert "stigmer config set ports.server" in finding.remedy
    assert found(report, "Ports", "temporal").text == f"{free}: free"


def test_a_port_that_is_taken_without_a_listener_is_a_problem_with_a_remedy(tmp_path: Path, places: Places) -> None:
    """An outgoing connection may occupy it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        report = look(build_libexec(tmp_path, (part("a", ports=(("server", number),)),)), places)
    finding = found(report, "Ports", "server")
    assert (finding.level, finding.text) == (PROBLEM, f"port {number} (server) is taken")
    assert "`stigmer config set ports.server NUMBER`" in finding.remedy


def test_ports_of_a_running_server_are_ok_and_one_without_a_listener_is_a_warning(
    keg: Path, places: Places, port: int, supervised: None
) -> None:
    write_server_state(places, ports={"server": port, "temporal": free_ports(1)[0]})
    report = look(keg, places)
    finding = found(report, "Ports", "server")
    assert (finding.level, finding.text.endswith(", ours")) == (OK, True)
    assert found(report, "Ports", "temporal").level == WARNING
    assert found(report, "Server", "supervisor").text == f"running, pid {os.getpid()}, version 1.0.0"
    assert not about_port(report, port), "reachable only from this machine"


def without_network(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a new network namespace, whose loopback interface is down."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    return subprocess.run([*unshare, *command], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(
    not shutil.which("unshare") or without_network("true").returncode != 0, reason="needs unshare --net"
)
def test_a_loopback_interface_that_is_down_is_a_problem(keg: Path, places: Places) -> None:
    """The start failed with a stack trace of Temporal, but doctor found nothing."""
    assert found(look(keg, places), "Ports", "loopback").level == OK
    program = (
        f"import sys; sys.path.insert(0, {str(Path(server.__file__).parents[2])!r})\n"
        "from stigmer_launcher.doctor import server\n"
        "(finding,) = server.check_loopback(None)\n"
        "print(finding.level, finding.text)\n"
    )
    completed = without_network(sys.executable, "-B", "-c", program)
    assert completed.stdout == f"{PROBLEM} cannot connect to 127.0.0.1: Network is unreachable\n", completed.stderr


def test_a_service_that_other_machines_can_reach_is_a_warning(keg: Path, places: Places, supervised: None) -> None:
    """On any port; the remedy blocks that port."""
    with socket.create_server(("", 0)) as reachable:
        port = reachable.getsockname()[1]
        write_server_state(places)
        (finding,) = about_port(look(keg, places), port)
        assert (finding.name, finding.level) == ("stigmer-server", WARNING)
        assert "listens on all interfaces" in finding.text
        assert f"ufw deny {port}/tcp" in finding.remedy or "Firewall" in finding.remedy
        write_server_state(places, {"pid": 1, "identity": ""})
        assert not about_port(look(keg, places), port), "the port of another process"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no file of sockets")
def test_ports_that_cannot_be_read_are_reported_as_not_checked(
    keg: Path, places: Places, supervised: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_LISTENERS", "/absent")
    with socket.create_server(("", 0)) as reachable:
        write_server_state(places)
        report = look(keg, places)
        assert not about_port(report, reachable.getsockname()[1])
    assert found(report, "Ports", "exposure").level == NOTE


def test_a_port_of_another_user_is_not_mistaken_for_the_port_of_a_failed_service(
    keg: Path, places: Places, port: int, supervised: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pid is unknown (0) in both cases."""
    monkeypatch.setattr(ports, "port_owner", lambda _: ports.Listener(0, port, b""))
    write_server_state(places, FAILED, ports={"server": port})
    finding = found(look(keg, places), "Ports", "server")
    assert (finding.level, finding.text) == (PROBLEM, f"port {port} (server) is taken by a process of user root")


# --- the server ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "remedy"),
    [
        (None, "run `stigmer server restart`"),
        (service_manager.Unit("homebrew.stigmer.service", "systemctl --user"), "run `brew services restart stigmer`"),
    ],
    ids=["own supervisor", "service manager"],
)
def test_a_running_version_other_than_the_installed_one_is_a_warning(
    keg: Path,
    places: Places,
    supervised: None,
    monkeypatch: pytest.MonkeyPatch,
    unit: service_manager.Unit | None,
    remedy: str,
) -> None:
    """`server restart` would start it outside of the service manager's unit."""
    monkeypatch.setattr(service_manager, "find_unit", lambda *_: unit)
    write_server_state(places)
    finding = found(look(keg, places), "Server", "version")
    assert finding.level == WARNING
    assert finding.text.startswith("1.0.0-aaa is running, 1.0.0-")
    assert finding.remedy == remedy
    installed = read_keg(str(keg)).id
    write_server_state(places, installed=installed)
    assert "version" not in [each.name for each in look(keg, places)["Server"]]


def test_a_failed_service_is_a_problem_with_its_last_error_and_log_file(
    keg: Path, places: Places, supervised: None
) -> None:
    write_server_state(places, {**FAILED, "last_error": "exited with 1"}, state="degraded")
    report = look(keg, places)
    assert found(report, "Server", "stigmer-server").level == PROBLEM
    assert found(report, "Server", "supervisor").level == PROBLEM
    crash = found(report, "Server", "stigmer-server, last end").text
    assert crash == f"exited with 1; its log is {places.logs}/stigmer-server.log"


def test_a_killed_supervisor_is_reported_with_its_remaining_services(keg: Path, places: Places) -> None:
    """Services that its watchdog is stopping are not a problem; they used to be reported as left behind."""
    write_server_state(places, supervisor_pid=99999999)
    report = look(keg, places)
    assert "was killed" in found(report, "Server", "supervisor").text
    service = found(report, "Server", "stigmer-server")
    assert (service.level, "still runs without its supervisor" in service.text) == (PROBLEM, True)
    with locks.try_acquire(f"{places.run}/warden.lock") or pytest.fail("free"):
        report = look(keg, places)
    message = f"killed; its watchdog (pid {os.getpid()}) is stopping the services"
    assert found(report, "Server", "supervisor").text == message
    service = found(report, "Server", "stigmer-server")
    assert (service.level, service.text) == (NOTE, f"pid {os.getpid()} still runs")


def test_a_port_of_a_service_left_by_a_killed_supervisor_is_not_a_problem(
    tmp_path: Path, places: Places, port: int
) -> None:
    keg = build_libexec(tmp_path / "keg", (part("stigmer-server", ports=(("server", port),)),))
    write_server_state(places, supervisor_pid=99999999)
    finding = found(look(keg, places), "Ports", "server")
    assert (finding.level, finding.text.partition(", ")[2]) == (OK, "ours, left by a killed server")
    write_server_state(places, {"identity": "another boot:1"}, supervisor_pid=99999999)
    assert found(look(keg, places), "Ports", "server").level == PROBLEM


def test_a_free_port_is_ok_although_the_killed_server_was_running(tmp_path: Path, places: Places) -> None:
    """Its last state says that it runs."""
    (free,) = free_ports(1)
    keg = build_libexec(tmp_path / "keg", (part("stigmer-server", ports=(("server", free),)),))
    write_server_state(places, FAILED, supervisor_pid=99999998)
    assert found(look(keg, places), "Ports", "server") == Finding("server", OK, f"{free}: free")


def test_the_database_of_a_stopped_server_is_examined(tmp_path: Path, places: Places) -> None:
    """A running server uses it."""
    arguments = ("--db-filename", "{home.relative}/temporal.db")
    keg = build_libexec(tmp_path / "keg", (part("temporal", arguments=arguments), part("agent-runner")))
    database = Path(places.home, "temporal.db")
    database.parent.mkdir()
    database.write_text("not a database")
    finding = found(look(keg, places), "Server", "temporal, database")
    assert (finding.level, finding.text.split()[0]) == (PROBLEM, str(database))
    database.write_bytes(b"")
    assert found(look(keg, places), "Server", "temporal, database").level == WARNING
    Path(places.run).mkdir()
    with locks.acquire(f"{places.run}/supervisor.lock", 1.0):
        assert not [each for each in every(look(keg, places)) if "database" in each.name]


def test_a_killed_supervisor_whose_services_have_ended_is_not_a_problem(keg: Path, places: Places) -> None:
    """The watchdog stops them within seconds, but doctor used to keep reporting them as left behind."""
    write_server_state(places, {"pid": 99999999, "identity": "this boot:1"}, supervisor_pid=99999998)
    finding = found(look(keg, places), "Server", "supervisor")
    assert finding == Finding("supervisor", NOTE, "stopped; the last one (pid 99999998) was killed")


@pytest.mark.skipif(sys.platform != "linux", reason="escaped processes are found on Linux only")
def test_an_escaped_process_of_a_killed_supervisor_is_a_warning(keg: Path, places: Places) -> None:
    token = f"escaped-{os.getpid()}"
    write_server_state(places, {"pid": 0, "identity": ""}, supervisor_pid=99999998, token=token)
    environ = {**os.environ, process.RUN_TOKEN: token}
    with subprocess.Popen(["cat"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as escaped:
        assert escaped.stdin is not None
        assert escaped.stdout is not None
        escaped.stdin.write(b"x")
        escaped.stdout.read(1)  # its environment may not be readable before
        finding = found(look(keg, places), "Server", "supervisor")
        escaped.kill()
    assert (finding.level, "could not clean up" in finding.text) == (WARNING, True)


def test_a_reused_pid_is_not_mistaken_for_a_service(keg: Path, places: Places) -> None:
    write_server_state(places, {"identity": "another boot:1"})
    assert "stigmer-server" not in [each.name for each in look(keg, places)["Server"]]


@pytest.mark.parametrize(
    "state",
    [
        [],
        "text",
        {"format": 1},
        {"format": 1, "services": 7, "ports": 7, "state": 7, "temporal": 7, "installed": 7},
        {"format": 1, "services": [7, {}, {"pid": None}, {"pid": "x", "identity": 3, "name": 4}], "ports": {"x": "y"}},
        {"format": 1, "services": [{"pid": -1, "identity": "a"}], "ports": {"server": None}, "state": None},
        {"format": 2, "services": []},
    ],
)
@pytest.mark.parametrize("running", ["running", ""])
def test_an_invalid_state_does_not_stop_doctor(keg: Path, places: Places, state: object, running: str) -> None:
    write_state(places, state)
    lock = locks.try_acquire(f"{places.run}/supervisor.lock") if running else None
    try:
        assert found(look(keg, places), "Model", "provider").level == OK
    finally:
        if lock:
            lock.release()


def test_a_product_without_temporal_and_model_has_no_sections_about_them(tmp_path: Path, places: Places) -> None:
    keg = build_libexec(tmp_path, (part("clock", ports=(("clock", free_ports(1)[0]),)),))
    assert not {"Temporal", "Model"} & look(keg, places).keys()


def test_an_external_temporal_that_does_not_answer_is_a_problem(keg: Path, places: Places) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    finding = found(look(keg, places, {"TEMPORAL_SERVICE_ADDRESS": address}), "Temporal", "server")
    assert finding.level == PROBLEM
    assert finding.text.startswith(f"at {address}, not ours: ")


@pytest.mark.parametrize(
    ("server_ports", "environ", "text", "remedy"),
    [
        ({"temporal": 7233}, {"TEMPORAL_SERVICE_ADDRESS": "there:1"}, "at {}: ", "`stigmer server restart temporal`"),
        ({"server": 7234}, {}, "at {}, not ours: ", "start that Temporal"),
    ],
    ids=["managed", "external"],
)
@pytest.mark.usefixtures("supervised")
def test_the_temporal_of_a_running_server_is_checked_regardless_of_the_environment(
    keg: Path,
    places: Places,
    server_ports: Mapping[str, int],
    environ: Mapping[str, str],
    text: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_TIMEOUT", 0.0)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    write_server_state(places, ports=server_ports, temporal=address)
    finding = found(look(keg, places, environ), "Temporal", "server")
    assert finding.text.startswith(text.format(address))
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("namespace", "problem"),
    [("theirs", "namespace 'theirs' cannot be used yet"), ("\ud800", "surrogates not allowed")],
    ids=["missing", "not UTF-8"],
)
def test_an_external_temporal_is_probed_with_the_namespace_that_a_start_would_use(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch, namespace: str, problem: str
) -> None:
    monkeypatch.setattr(server, "_TIMEOUT", 0.0)
    monkeypatch.setattr(channel, "ask", lambda *_: [grpc.encode({1: 1}), None])
    environ = {"TEMPORAL_SERVICE_ADDRESS": "there:1", "TEMPORAL_NAMESPACE": namespace}
    finding = found(look(keg, places, environ), "Temporal", "server")
    assert finding.level == PROBLEM
    assert problem in finding.text


@pytest.mark.usefixtures("supervised")
def test_the_namespace_of_a_running_server_is_not_checked(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of this shell may name another one, and an external Temporal may lack the default namespace."""
    monkeypatch.setattr(server, "_TIMEOUT", 0.0)
    monkeypatch.setattr(channel, "ask", lambda *_: [grpc.encode({1: 1}), None])
    write_server_state(
        places, {"managed": False, "last_error": "no answer"}, ports={"server": 7234}, temporal="there:1"
    )
    report = look(keg, places)
    assert found(report, "Temporal", "server").text == "at there:1, not ours, serves"
    assert not [each.name for each in report["Server"] if "last end" in each.name], "an external service has no log"


def test_a_temporal_that_is_starting_is_probed_again(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = grpc.encode({1: 1})
    outcomes = iter([ConnectionRefusedError(111, "cannot connect"), [None, b""], [serving, None], [serving, b""]])

    def ask(*_: Any) -> Any:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    monkeypatch.setattr(channel, "ask", ask)
    assert found(look(keg, places, {"TEMPORAL_SERVICE_ADDRESS": "there:1"}), "Temporal", "server").level == OK


def test_a_temporal_that_accepts_connections_but_does_not_answer_is_a_problem(
    keg: Path, places: Places, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_TIMEOUT", 0.1)
    finding = found(look(keg, places, {"TEMPORAL_SERVICE_ADDRESS": f"127.0.0.1:{port}"}), "Temporal", "server")
    assert finding.level == PROBLEM
    assert finding.text == f"at 127.0.0.1:{port}, not ours: 127.0.0.1:{port} did not answer within 0.1 s"


@pytest.mark.parametrize("address", ["nowhere", "there:", "there:\ud800", "\ud800:7233", "there\0:7233", "[:7233"])
def test_an_invalid_address_in_the_state_file_is_a_problem(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(server, "_TIMEOUT", 0.0)
    run = Path(places.run)
    run.mkdir(parents=True)
    with locks.acquire(str(run / "supervisor.lock"), 1.0):
        state = {"format": 1, "supervisor_pid": os.getpid(), "state": "running", "ports": {"temporal": 7233}}
        write_state(places, {**state, "temporal": address})
        finding = found(look(keg, places), "Temporal", "server")
    assert finding.level == PROBLEM
    assert "`stigmer server restart temporal`" in finding.remedy  # the remedy for a managed Temporal
