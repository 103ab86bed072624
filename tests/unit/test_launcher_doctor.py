"""Doctor sees what is wrong, says what to do, tells no secret and changes nothing."""

import io
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from stigmer_launcher import cli, locks
from stigmer_launcher.diagnosis import diagnose
from stigmer_launcher.findings import NOTE, OK, PROBLEM, WARNING, Finding, Report, render_json, render_text
from stigmer_launcher.inventory import read_keg
from stigmer_launcher.materialise import materialise
from stigmer_launcher.places import Places, find_places
from support.launcher_payloads import build_libexec, part, stigmer_parts

SECRET = "sk-very-secret-key"  # noqa: S105 - the point of the tests


@pytest.fixture(name="places")
def _places(tmp_path: Path) -> Places:
    return find_places({"STIGMER_HOME": str(tmp_path / "home")})


@pytest.fixture(name="keg")
def _keg(tmp_path: Path) -> Path:
    return build_libexec(tmp_path / "keg")


def look(
    keg: Path | str, places: Places, environ: Mapping[str, str] = MappingProxyType({}), *, deep: bool = False
) -> Report:
    """Diagnose."""
    return diagnose(places, str(keg), environ, deep=deep)


def found(report: Report, section: str, name: str) -> Finding:
    """Pick the one finding of that name."""
    (finding,) = [each for each in report.findings if (each.section, each.name) == (section, name)]
    return finding


def said(report: Report) -> str:
    """Give all that is told, as text and as JSON."""
    return render_text(report, lambda text, _: text) + render_json(report)


def write_state(places: Places, state: object) -> None:
    """Leave a state file as a supervisor writes it."""
    Path(places.run).mkdir(parents=True, exist_ok=True)
    Path(places.run, "state.json").write_text(json.dumps(state), encoding="utf-8")


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Identify everything below a directory."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in sorted(directory.rglob("*"))}


def test_on_a_fresh_machine_nothing_is_wrong_and_nothing_is_made(keg: Path, places: Places, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    report = look(keg, places, deep=True)
    assert report.count(PROBLEM) == 0, said(report)
    assert snapshot(tmp_path) == before
    assert found(report, "Components", "temporal") == (
        "Components",
        "temporal",
        NOTE,
        "1.0.0, made at the next start",
        "",
    )


def test_after_a_start_every_component_is_found_untouched(keg: Path, places: Places, tmp_path: Path) -> None:
    materialise(read_keg(str(keg)), places, lambda _: None)
    before = snapshot(tmp_path)
    report = look(keg, places)
    assert (report.count(PROBLEM), report.count(WARNING)) == (0, 0), said(report)
    assert found(report, "Components", "agent-runner").text == "1.0.0, 5 files, untouched"
    assert snapshot(tmp_path) == before


def test_a_missing_keg_is_a_problem_and_not_a_crash(places: Places, tmp_path: Path) -> None:
    for libexec in ("", str(tmp_path / "nowhere")):
        assert found(look(libexec, places), "Stigmer", "keg").level == PROBLEM


def test_a_damaged_file_is_named_with_the_way_to_heal_it(keg: Path, places: Places) -> None:
    materialise(read_keg(str(keg)), places, lambda _: None)
    Path(places.bin, "agent-runner.lib/a/1.so").unlink()
    finding = found(look(keg, places), "Components", "agent-runner")
    assert finding.level == WARNING
    assert "agent-runner.lib/a/1.so was touched since it was made" in finding.text
    assert "stigmer server" in finding.remedy
    assert (
        "agent-runner.lib/a/1.so is missing" in found(look(keg, places, deep=True), "Components", "agent-runner").text
    )


def test_only_the_deep_look_sees_another_content_of_the_keg(keg: Path, places: Places) -> None:
    """It hashes everything, in the home and in the keg."""
    path = keg / "components/temporal"
    path.write_bytes(path.read_bytes()[::-1])
    assert found(look(keg, places), "Components", "temporal").level == NOTE
    finding = found(look(keg, places, deep=True), "Components", "temporal")
    assert finding.level == PROBLEM
    assert "temporal has another content than was released" in finding.text
    assert finding.remedy == "run `brew reinstall stigmer`"


def test_a_file_that_is_missing_in_the_keg_is_seen_at_once(keg: Path, places: Places) -> None:
    (keg / "components/temporal").unlink()
    assert "temporal is missing" in found(look(keg, places), "Components", "temporal").text


def test_a_developers_executable_is_told(keg: Path, places: Places) -> None:
    report = look(keg, places, {"STIGMER_TEMPORAL_BIN": "/bin/sh", "STIGMER_SERVER_BIN": "/nowhere"})
    levels = [(each.level, each.name) for each in report.findings if "_BIN" in each.text]
    assert levels == [(NOTE, "temporal"), (PROBLEM, "stigmer-server")]


def test_versions_beside_the_installed_one_are_told(keg: Path, places: Places, tmp_path: Path) -> None:
    newer = build_libexec(tmp_path / "newer", version="2.0.0")
    old = materialise(read_keg(str(keg)), places, lambda _: None)
    report = look(newer, places)
    assert "the next start switches to 2.0.0" in found(report, "Components", "bin").text
    materialise(read_keg(str(newer)), places, lambda _: None, in_use=lambda: (old.id,))
    assert found(look(newer, places), "Components", "old version").text == f"{old.id}, removed at the next start"


def test_what_an_earlier_stigmer_left_is_told(keg: Path, places: Places) -> None:
    Path(places.home, "data").mkdir(parents=True)
    Path(places.home, "data/daemon.pid").write_text(str(os.getpid()))
    Path(places.bin).mkdir()
    report = look(keg, places)
    assert "data/daemon.pid: of an earlier Stigmer" in found(report, "Server", "stale file").text
    assert "moves it aside" in found(report, "Components", "bin").text


def test_a_broken_configuration_is_a_problem_with_its_line_and_the_rest_is_still_told(
    keg: Path, places: Places
) -> None:
    Path(places.home).mkdir()
    Path(places.config).write_text("ports:\n  server: [\n")
    report = look(keg, places)
    assert "config.yaml, line 2" in found(report, "Configuration", "file").text
    assert found(report, "Model", "provider").level == OK


@pytest.mark.parametrize(("text", "level"), [("ports:\n  server: 1\n", WARNING), (None, PROBLEM)])
def test_a_configuration_that_others_can_read_is_worse_with_a_key_in_it(
    keg: Path, places: Places, text: str | None, level: str
) -> None:
    Path(places.home).mkdir()
    Path(places.config).write_text(text or f"backend:\n  local:\n    llm:\n      api_key: {SECRET}\n")
    Path(places.config).chmod(0o644)
    assert found(look(keg, places), "Configuration", "mode").level == level
    Path(places.config).chmod(0o600)
    assert [each for each in look(keg, places).findings if each.name == "mode"] == []


def test_settings_without_effect_are_told(keg: Path, places: Places) -> None:
    Path(places.home).mkdir()
    Path(places.config).write_text("backend:\n  local:\n    data_dir: /x\n")
    assert "has no effect" in found(look(keg, places), "Configuration", "unused").text


@pytest.mark.parametrize(
    ("environ", "level", "text"),
    [
        ({}, OK, "not needed"),
        ({"STIGMER_LLM_PROVIDER": "openai"}, WARNING, "missing; openai needs one"),
        ({"STIGMER_LLM_PROVIDER": "openai", "OPENAI_API_KEY": SECRET}, OK, "present, from OPENAI_API_KEY"),
    ],
)
def test_a_key_is_said_to_be_there_or_not_and_never_shown(
    keg: Path, places: Places, environ: dict[str, str], level: str, text: str
) -> None:
    report = look(keg, places, environ)
    assert found(report, "Model", "key")[2:4] == (level, text)
    assert SECRET not in said(report)


def test_no_secret_of_the_file_or_of_an_address_is_shown(keg: Path, places: Places) -> None:
    Path(places.home).mkdir()
    Path(places.config).write_text(
        f"backend:\n  local:\n    llm:\n      provider: openai\n      api_key: {SECRET}\n"
        f"      base_url: https://ada:{SECRET}@host/v1?key={SECRET}\n  cloud:\n    token: {SECRET}\n"
    )
    Path(places.config).chmod(0o600)
    report = look(keg, places)
    assert found(report, "Model", "provider").text.endswith("https://host/v1")
    assert SECRET not in said(report)


def test_an_unknown_provider_is_a_problem(keg: Path, places: Places) -> None:
    report = look(keg, places, {"STIGMER_LLM_PROVIDER": "gemini"})
    assert any(each.level == PROBLEM and "'gemini'" in each.text for each in report.findings)


# ----- ports and the server


@pytest.fixture(name="listener")
def _listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def keg_with_port(tmp_path: Path, port: int) -> Path:
    """Build a keg whose server wants that port."""
    return build_libexec(tmp_path / "keg", (part("stigmer-server", ports=(("server", port),)),))


def test_a_port_of_somebody_else_is_a_problem_with_the_owners_name_and_pid(
    tmp_path: Path, places: Places, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    finding = found(look(keg_with_port(tmp_path, port), places), "Ports", "server")
    assert finding.level == PROBLEM
    assert finding.text.startswith(f"{port}: ")
    assert f"(pid {os.getpid()}), not ours" in finding.text
    assert "stigmer config set ports.server" in finding.remedy


def test_a_free_port_is_said_to_be_free(tmp_path: Path, places: Places, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    assert found(look(keg_with_port(tmp_path, port), places), "Ports", "server").text == f"{port}: free"


def a_state(**changes: Any) -> dict[str, Any]:
    """Make a state as a supervisor writes it, of a server that this process plays."""
    pid = os.getpid()
    service = {
        "name": "stigmer-server",
        "state": "running",
        "pid": pid,
        "identity": locks.identity(pid),
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


def test_a_running_servers_ports_are_ours(
    tmp_path: Path, places: Places, listener: socket.socket, supervised: None
) -> None:
    port = listener.getsockname()[1]
    write_state(places, a_state(ports={"server": port}))
    report = look(keg_with_port(tmp_path, 1), places)
    assert found(report, "Ports", "server")[2] == OK
    assert found(report, "Ports", "server").text.endswith(", ours")
    assert found(report, "Server", "supervisor").text == f"running, pid {os.getpid()}, version 1.0.0"


def test_a_port_nobody_listens_on_while_the_server_runs_is_a_warning(
    tmp_path: Path, places: Places, listener: socket.socket, supervised: None
) -> None:
    port = listener.getsockname()[1]
    listener.close()
    write_state(places, a_state(ports={"server": port}))
    assert found(look(keg_with_port(tmp_path, 1), places), "Ports", "server").level == WARNING


def test_another_version_running_than_is_installed_is_a_warning(keg: Path, places: Places, supervised: None) -> None:
    write_state(places, a_state())
    finding = found(look(keg, places), "Server", "version")
    assert finding.level == WARNING
    assert finding.text.startswith("1.0.0-aaa is running, 1.0.0-")
    assert finding.remedy == "run `stigmer server restart`"


def test_a_service_that_failed_is_a_problem_with_its_last_words_and_its_log(
    keg: Path, places: Places, supervised: None
) -> None:
    failed = {"name": "agent-runner", "state": "failed", "pid": 0, "identity": "", "last_error": "exited with 1"}
    write_state(places, a_state(state="degraded", services=[failed]))
    report = look(keg, places)
    assert found(report, "Server", "agent-runner").level == PROBLEM
    assert found(report, "Server", "supervisor").level == PROBLEM
    crash = found(report, "Server", "agent-runner, last crash").text
    assert crash == f"exited with 1; its log is {places.logs}/agent-runner.log"


def test_a_supervisor_that_was_killed_is_told_and_what_it_left_running(keg: Path, places: Places) -> None:
    write_state(places, a_state(supervisor_pid=99999999))
    report = look(keg, places)
    assert "was killed" in found(report, "Server", "supervisor").text
    assert found(report, "Server", "stigmer-server").level == PROBLEM
    assert "still runs without its supervisor" in found(report, "Server", "stigmer-server").text


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


def test_a_temporal_of_somebody_else_that_does_not_answer_is_a_problem(
    keg: Path, places: Places, listener: socket.socket
) -> None:
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    finding = found(look(keg, places, {"TEMPORAL_SERVICE_ADDRESS": address}), "Temporal", "server")
    assert finding.level == PROBLEM
    assert finding.text.startswith(f"at {address}, not ours: ")


def test_our_own_temporal_is_not_asked_while_it_does_not_run(keg: Path, places: Places) -> None:
    assert found(look(keg, places), "Temporal", "server").level == OK


# ----- how it is shown


REPORT = Report(
    (
        Finding("One", "name", OK, "fine"),
        Finding("One", "longer name", PROBLEM, "first\nsecond", "do this"),
        Finding("Two", "x", WARNING, "careful"),
    )
)


def test_the_text_has_sections_levels_and_remedies_in_columns() -> None:
    assert render_text(REPORT, lambda text, _: text) == (
        "One\n"
        "  ok      name         fine\n"
        "  problem longer name  first\n"
        "                       second\n"
        "                       -> do this\n"
        "\n"
        "Two\n"
        "  warning x            careful\n"
        "\n"
        "1 problem, 1 warning."
    )


def test_the_json_has_the_counts_and_every_finding() -> None:
    plain = json.loads(render_json(REPORT))
    assert (plain["format"], plain["problems"], plain["warnings"]) == (1, 1, 1)
    assert plain["findings"][1] == {
        "section": "One",
        "name": "longer name",
        "level": "problem",
        "text": "first\nsecond",
        "remedy": "do this",
    }


def test_the_summary_counts_in_plain_words() -> None:
    assert render_text(Report(()), lambda text, _: text).strip() == "Nothing is wrong."
    two = Report((Finding("a", "b", WARNING, "c"), Finding("a", "b", WARNING, "c")))
    assert render_text(two, lambda text, _: text).endswith("no problems, 2 warnings.")


def command(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run the command line and give its code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    code = cli.main(("doctor", *arguments), environ, out, err)
    return code, out.getvalue() + err.getvalue()


def test_the_exit_code_tells_whether_there_is_a_problem(keg: Path, places: Places) -> None:
    code, text = command(STIGMER_PAYLOAD=str(keg), STIGMER_HOME=places.home)
    assert (code, text.splitlines()[-1]) == (0, "Nothing is wrong.")
    code, text = command(STIGMER_HOME=places.home)
    assert (code, text.splitlines()[-1]) == (1, "1 problem, no warnings.")


def test_the_json_of_the_command_is_json_alone(keg: Path, places: Places) -> None:
    code, text = command("--json", "--deep", STIGMER_PAYLOAD=str(keg), STIGMER_HOME=places.home)
    assert code == 0
    assert json.loads(text)["problems"] == 0


def test_every_part_of_a_stigmer_is_looked_at(keg: Path, places: Places) -> None:
    report = look(keg, places)
    names = {each.name for each in report.findings if each.section == "Components"}
    assert names == {each.component.name for each in stigmer_parts()}
    assert {each.section for each in report.findings} >= {
        "Stigmer",
        "Home",
        "Components",
        "Server",
        "Temporal",
        "Model",
    }
