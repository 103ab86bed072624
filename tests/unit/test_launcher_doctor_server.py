"""Doctor looks at the ports and at the server that runs, or ran, and tells ours from everybody else's."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.doctor import server
from stigmer_launcher.doctor.report import NOTE, OK, PROBLEM, WARNING
from stigmer_launcher.system import locks, ports, process, service_manager
from stigmer_launcher.system.places import Places
from support.doctoring import found, look, write_state
from support.launcher_payloads import build_libexec, part
from support.launcher_services import free_ports


@pytest.fixture(name="port")
def _port() -> Iterator[int]:
    """Give a port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def keg_with_port(tmp_path: Path, port: int) -> Path:
    """Build a keg whose server wants that port."""
    return build_libexec(tmp_path / "keg", (part("stigmer-server", ports=(("server", port),)),))


def test_a_port_of_somebody_else_is_a_problem_with_the_owners_name_and_pid(
    tmp_path: Path, places: Places, port: int
) -> None:
    finding = found(look(keg_with_port(tmp_path, port), places), "Ports", "server")
    assert finding.level == PROBLEM
    assert finding.text.startswith(f"{port}: ")
    assert f"(pid {os.getpid()}), not ours" in finding.text
    assert "stigmer config set ports.server" in finding.remedy


def test_a_free_port_is_said_to_be_free(tmp_path: Path, places: Places) -> None:
    (port,) = free_ports(1)
    assert found(look(keg_with_port(tmp_path, port), places), "Ports", "server").text == f"{port}: free"


def a_state(**changes: Any) -> dict[str, Any]:
    """Make a state as a supervisor writes it, of a server that this process plays."""
    pid = os.getpid()
    service = {
        "name": "stigmer-server",
        "state": "running",
        "pid": pid,
        "identity": process.identity(pid),
        "restarts": 0,
        "last_error": "",
        "version": "1.0.0",
    }
    return {
        "format": 1,
        "supervisor_pid": pid,
        "state": "running",
        "version": "1.0.0",
        "installed": "1.0.0-aaa",
        "ports": {},
        "temporal": "",
        "services": [service],
        **changes,
    }


@pytest.fixture(name="supervised")
def _supervised(places: Places) -> Iterator[None]:
    """Hold the supervisor's lock, as a running server does."""
    Path(places.run).mkdir(parents=True)
    with locks.hold(f"{places.run}/supervisor.lock") or pytest.fail("free"):
        yield


def test_a_running_servers_ports_are_ours(tmp_path: Path, places: Places, port: int, supervised: None) -> None:
    write_state(places, a_state(ports={"server": port}))
    report = look(keg_with_port(tmp_path, 1), places)
    assert found(report, "Ports", "server")[2] == OK
    assert found(report, "Ports", "server").text.endswith(", ours")
    assert found(report, "Server", "supervisor").text == f"running, pid {os.getpid()}, version 1.0.0"


def test_a_service_that_other_machines_can_reach_is_a_warning(keg: Path, places: Places, supervised: None) -> None:
    with socket.create_server(("", 0)) as reachable:
        port = reachable.getsockname()[1]
        write_state(places, a_state())
        report = look(keg, places)
        (finding,) = [each for each in report.findings if f"port {port} " in each.text]
        assert (finding.section, finding.name, finding.level) == ("Ports", "stigmer-server", WARNING)
        assert "listens on all interfaces" in finding.text
        assert f"ufw deny {port}/tcp" in finding.remedy or "Firewall" in finding.remedy
        somebody_elses = a_state()
        somebody_elses["services"][0] |= {"pid": 1, "identity": ""}
        write_state(places, somebody_elses)
        assert not [each for each in look(keg, places).findings if f"port {port} " in each.text]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no file of sockets")
def test_ports_that_cannot_be_looked_at_are_said_to_be_that_and_nothing_else(
    tmp_path: Path, keg: Path, places: Places, supervised: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_LISTENERS", str(tmp_path / "absent"))
    with socket.create_server(("", 0)) as reachable:
        port = reachable.getsockname()[1]
        write_state(places, a_state())
        report = look(keg, places)
    assert found(report, "Ports", "exposure").level == NOTE
    assert not [each for each in report.findings if f"port {port} " in each.text]


def test_a_port_of_another_user_is_not_taken_for_that_of_a_service_that_failed(
    keg: Path, places: Places, supervised: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has a pid that we could know."""
    monkeypatch.setattr(ports, "port_owner", lambda _: ports.Owner(0, "a process of user root"))
    failed = {"name": "stigmer-server", "state": "failed", "pid": 0, "identity": ""}
    write_state(places, a_state(services=[failed], ports={"server": 7234}))
    finding = found(look(keg, places), "Ports", "server")
    assert (finding.level, finding.text) == (PROBLEM, "7234: a process of user root, not ours")


def test_a_port_nobody_listens_on_while_the_server_runs_is_a_warning(
    tmp_path: Path, places: Places, supervised: None
) -> None:
    write_state(places, a_state(ports={"server": free_ports(1)[0]}))
    assert found(look(keg_with_port(tmp_path, 1), places), "Ports", "server").level == WARNING


def test_another_version_running_than_is_installed_is_a_warning(keg: Path, places: Places, supervised: None) -> None:
    write_state(places, a_state())
    finding = found(look(keg, places), "Server", "version")
    assert finding.level == WARNING
    assert finding.text.startswith("1.0.0-aaa is running, 1.0.0-")
    assert finding.remedy == "run `stigmer server restart`"


def test_a_server_that_a_service_manager_runs_is_restarted_by_it(
    keg: Path, places: Places, supervised: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`server restart` would take it out of its unit."""
    unit = service_manager.Unit("homebrew.stigmer.service", is_users=True)
    monkeypatch.setattr(service_manager, "find_unit", lambda *_: unit)
    write_state(places, a_state())
    assert found(look(keg, places), "Server", "version").remedy == "run `brew services restart stigmer`"


def test_a_service_that_failed_is_a_problem_with_its_last_words_and_its_log(
    keg: Path, places: Places, supervised: None
) -> None:
    failed = {"name": "agent-runner", "state": "failed", "pid": 0, "identity": "", "last_error": "exited with 1"}
    write_state(places, a_state(state="degraded", services=[failed]))
    report = look(keg, places)
    assert found(report, "Server", "agent-runner").level == PROBLEM
    assert found(report, "Server", "supervisor").level == PROBLEM
    crash = found(report, "Server", "agent-runner, last end").text
    assert crash == f"exited with 1; its log is {places.logs}/agent-runner.log"


def test_a_supervisor_that_was_killed_is_told_and_what_it_left_running(keg: Path, places: Places) -> None:
    write_state(places, a_state(supervisor_pid=99999999))
    report = look(keg, places)
    assert "was killed" in found(report, "Server", "supervisor").text
    assert found(report, "Server", "stigmer-server").level == PROBLEM
    assert "still runs without its supervisor" in found(report, "Server", "stigmer-server").text


def test_a_watchdog_at_work_is_told_and_what_it_has_not_stopped_yet_is_no_problem(keg: Path, places: Places) -> None:
    """Once the doctor said that the server is stopped, and of each service that it was left behind."""
    write_state(places, a_state(supervisor_pid=99999999))
    with locks.hold(f"{places.run}/warden.lock") or pytest.fail("free"):
        report = look(keg, places)
    assert (
        found(report, "Server", "supervisor").text
        == f"killed; its watchdog (pid {os.getpid()}) is stopping the services"
    )
    service = found(report, "Server", "stigmer-server")
    assert (service.level, service.text) == (NOTE, f"pid {os.getpid()} still runs")


def test_a_number_that_now_belongs_to_somebody_else_is_not_taken_for_a_service(keg: Path, places: Places) -> None:
    state = a_state()
    state["services"][0]["identity"] = "another boot:1"
    write_state(places, state)
    assert [
        each for each in look(keg, places).findings if each.name == "stigmer-server" and each.section == "Server"
    ] == []


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
def test_a_state_that_makes_no_sense_does_not_stop_the_doctor(
    keg: Path, places: Places, state: object, running: str
) -> None:
    write_state(places, state)
    lock = locks.hold(f"{places.run}/supervisor.lock") if running else None
    try:
        assert found(look(keg, places), "Model", "provider").level == OK
    finally:
        if lock:
            lock.release()


def test_a_temporal_of_somebody_else_that_does_not_answer_is_a_problem(keg: Path, places: Places) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    finding = found(look(keg, places, {"TEMPORAL_SERVICE_ADDRESS": address}), "Temporal", "server")
    assert finding.level == PROBLEM
    assert finding.text.startswith(f"at {address}, not ours: ")


def test_our_own_temporal_is_not_asked_while_it_does_not_run(keg: Path, places: Places) -> None:
    assert found(look(keg, places), "Temporal", "server").level == OK
