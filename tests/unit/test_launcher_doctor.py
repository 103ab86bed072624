"""Doctor reports problems with remedies, as text or JSON, shows no secrets and changes nothing."""

import errno
import io
import json
import os
from pathlib import Path

import pytest

from stigmer_launcher.cli.commands.doctor import Report, render_json, render_text
from stigmer_launcher.cli.main import main
from stigmer_launcher.cli.terminal import Terminal
from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding
from stigmer_launcher.install.install import install
from stigmer_launcher.install.payload import read_keg
from stigmer_launcher.supervise import phases
from stigmer_launcher.supervise.state import Instance, Snapshot, write_snapshot
from stigmer_launcher.system.places import Places
from support.doctoring import every, found, look
from support.installing import put
from support.launcher_payloads import build_libexec, stigmer_parts

SECRET = "sk-very-secret-key"  # noqa: S105 - these tests check that it is not shown


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Return time and size of everything below a directory, including directories."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in sorted(directory.rglob("*"))}


def text_of(report: Report) -> str:
    return "\n".join(render_text(report, Terminal(io.StringIO(), live=False, colour=False, unicode=False)))


def rendered(report: Report) -> str:
    return text_of(report) + render_json(report)


def levels(report: Report) -> set[str]:
    return {each.level for each in every(report)}


def write_config(places: Places, text: str, mode: int = 0o600) -> None:
    Path(places.home).mkdir()
    Path(places.config).write_text(text)
    Path(places.config).chmod(mode)


# --- components ----------------------------------------------------------------------------------------------------------


def test_a_fresh_machine_has_no_problems_and_nothing_is_created(keg: Path, places: Places, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    report = look(keg, places, deep=True)
    assert PROBLEM not in levels(report), rendered(report)
    assert snapshot(tmp_path) == before
    temporal = Finding("temporal", NOTE, "1.0.0, installed at the next start")
    assert found(report, "Components", "temporal") == temporal
    assert found(report, "Temporal", "server").level == OK, "a managed Temporal is not probed while it does not run"
    assert {each.name for each in report["Components"]} == {each.component.name for each in stigmer_parts()}
    assert report.keys() >= {"Stigmer", "Home", "Components", "Server", "Temporal", "Model"}


def test_installed_components_are_reported_as_unmodified(keg: Path, places: Places, tmp_path: Path) -> None:
    put(keg, places)
    before = snapshot(tmp_path)
    report = look(keg, places)
    assert levels(report) <= {OK, NOTE}, rendered(report)
    assert found(report, "Components", "agent-runner").text == "1.0.0, unmodified"
    assert snapshot(tmp_path) == before


def test_a_missing_keg_is_a_problem(places: Places, tmp_path: Path) -> None:
    for libexec in ("", str(tmp_path / "nowhere")):
        assert found(look(libexec, places), "Stigmer", "keg").level == PROBLEM


def test_a_damaged_file_is_reported_with_a_remedy(keg: Path, places: Places) -> None:
    put(keg, places)
    Path(places.bin, "agent-runner.lib/a/1.so").unlink()
    finding = found(look(keg, places), "Components", "agent-runner")
    assert finding.level == WARNING
    assert "agent-runner.lib/a/1.so modified since installation" in finding.text
    assert "stigmer server" in finding.remedy
    deep = found(look(keg, places, deep=True), "Components", "agent-runner")
    assert "agent-runner.lib/a/1.so is missing" in deep.text


def test_changed_content_is_found_only_by_a_deep_check_and_other_damage_by_any(keg: Path, places: Places) -> None:
    """Only a deep check hashes all files, in the home and in the keg."""
    path = keg / "components/temporal"
    path.write_bytes(path.read_bytes()[::-1])
    assert found(look(keg, places), "Components", "temporal").level == NOTE
    finding = found(look(keg, places, deep=True), "Components", "temporal")
    assert finding.level == PROBLEM
    assert "temporal does not have the released content" in finding.text
    assert finding.remedy == "run `brew reinstall stigmer`; without Homebrew, unpack the archive again"
    path.write_bytes(b"")
    assert "temporal has 0 bytes instead of" in found(look(keg, places), "Components", "temporal").text
    path.unlink()
    assert "temporal is missing" in found(look(keg, places), "Components", "temporal").text


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="Homebrew changes ELF files only on Linux")
def test_a_file_relocated_by_an_old_homebrew_is_compared_with_the_keg(places: Places, tmp_path: Path) -> None:
    """It used to be compared with the release, and no start could resolve that difference."""
    keg = build_libexec(tmp_path / "Cellar/stigmer/1.0.0")
    name = "agent-runner.lib/a/1.so"
    (keg / "components" / name).write_bytes(b"\x7fELF" + bytes(60) + f"{tmp_path}/lib/ld.so\0".encode())
    install(read_keg(str(keg)), places, lambda _: None)
    assert found(look(keg, places, deep=True), "Components", "agent-runner").level == OK
    damaged = Path(places.bin, name)
    content = damaged.read_bytes()
    damaged.unlink()  # it may be a hard link to the keg
    damaged.write_bytes(content[::-1])
    finding = found(look(keg, places, deep=True), "Components", "agent-runner")
    assert (finding.level, f"{name} does not have the released content" in finding.text) == (WARNING, True)


def test_an_overridden_executable_is_reported(keg: Path, places: Places) -> None:
    report = look(keg, places, {"STIGMER_TEMPORAL_BIN": "/bin/sh", "STIGMER_SERVER_BIN": "/nowhere"})
    findings = [(each.level, each.name) for each in every(report) if "_BIN" in each.text]
    assert findings == [(NOTE, "temporal"), (PROBLEM, "stigmer-server")]


def test_a_newer_keg_and_an_old_version_are_reported(keg: Path, places: Places, tmp_path: Path) -> None:
    newer = build_libexec(tmp_path / "newer", version="2.0.0")
    old = put(keg, places)
    report = look(newer, places)
    assert "the next start switches to 2.0.0" in found(report, "Components", "bin").text
    put(newer, places, in_use=lambda: (old.id,))
    assert found(look(newer, places), "Components", "old version").text == f"{old.id}, removed at the next start"


def test_files_of_an_earlier_stigmer_are_reported(keg: Path, places: Places) -> None:
    Path(places.home, "data").mkdir(parents=True)
    Path(places.home, "data/daemon.pid").write_text(str(os.getpid()))
    Path(places.bin).mkdir()
    Path(places.home, "bin.before-1.0.0").mkdir()
    report = look(keg, places)
    assert "bin.before-1.0.0: the bin of an earlier Stigmer" in found(report, "Home", "kept").text
    assert "data/daemon.pid: of an earlier Stigmer" in found(report, "Server", "stale file").text
    assert "moves it aside" in found(report, "Components", "bin").text


def test_files_of_a_server_whose_service_was_stopped_are_replaced_by_a_start_outside_of_it(
    keg: Path, places: Places
) -> None:
    """A restart by its service manager, which the state still names, would start it at each login again."""
    put(keg, places)
    os.utime(Path(places.bin, "temporal"), (1, 1))
    write_snapshot(Instance(places.run), Snapshot(7, state=phases.STOPPED, job="homebrew.mxcl.stigmer"))
    finding = found(look(keg, places), "Components", "temporal")
    assert finding.remedy == "run `stigmer server restart`: it replaces them"


def test_a_bin_of_other_programs_that_a_start_refuses_is_a_problem(keg: Path, places: Places) -> None:
    Path(places.bin).mkdir(parents=True)
    Path(places.bin, "mine").touch()
    [finding] = [each for each in every(look(keg, places)) if f"{places.bin} holds other programs" in each.text]
    assert finding.level == PROBLEM
    assert "moves it aside" not in "".join(each.text for each in every(look(keg, places)))


def test_the_space_that_logs_take_is_shown(keg: Path, places: Places) -> None:
    Path(places.logs).mkdir(parents=True)
    for name, size in {"temporal.log": 3, "temporal.log.1": 10}.items():
        with Path(places.logs, name).open("wb") as log:
            log.truncate(size << 20)
    assert found(look(keg, places), "Home", "disk").text.endswith(" MB free, logs take 13 MB")


@pytest.mark.parametrize("target", ["file", "nowhere"])
def test_a_home_that_is_not_a_directory_is_a_problem(keg: Path, places: Places, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    Path(places.home).symlink_to(tmp_path / target)
    finding = found(look(keg, places), "Home", "directory")
    assert (finding.level, finding.text) == (PROBLEM, f"{places.home} is not a directory")


# --- configuration -------------------------------------------------------------------------------------------------------


def test_a_home_on_a_file_system_without_symbolic_links_is_a_problem(
    keg: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "symlink", refuse)
    write_config(places, "")
    assert found(look(keg, places), "Home", "mount").level == PROBLEM


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("ports:\n  server: [\n", "file", "config.yaml, line 2"),
        ("backend:\n  local:\n    data_dir: /x\n", "unused", "has no effect"),
    ],
)
def test_a_broken_configuration_is_reported_and_the_other_checks_run(
    keg: Path, places: Places, text: str, name: str, message: str
) -> None:
    write_config(places, text)
    report = look(keg, places)
    assert message in found(report, "Configuration", name).text
    assert found(report, "Model", "provider").level == OK


@pytest.mark.parametrize(
    ("text", "level"),
    [("ports:\n  server: 1\n", WARNING), (f"backend:\n  local:\n    llm:\n      api_key: {SECRET}\n", PROBLEM)],
)
def test_a_configuration_readable_for_others_is_a_problem_if_it_contains_a_key(
    keg: Path, places: Places, text: str, level: str
) -> None:
    write_config(places, text, 0o644)
    assert found(look(keg, places), "Configuration", "mode").level == level
    Path(places.config).chmod(0o600)
    assert "mode" not in [each.name for each in look(keg, places)["Configuration"]]


@pytest.mark.parametrize(
    ("environ", "level", "text"),
    [
        ({}, OK, "not needed"),
        ({"STIGMER_LLM_PROVIDER": "openai"}, WARNING, "missing; openai needs one"),
        ({"STIGMER_LLM_PROVIDER": "openai", "OPENAI_API_KEY": SECRET}, OK, "present (OPENAI_API_KEY)"),
    ],
)
def test_an_api_key_is_reported_as_present_or_missing_and_never_shown(
    keg: Path, places: Places, environ: dict[str, str], level: str, text: str
) -> None:
    report = look(keg, places, environ)
    assert found(report, "Model", "key")[1:3] == (level, text)
    assert SECRET not in rendered(report)


def test_an_unknown_provider_is_a_problem(keg: Path, places: Places) -> None:
    report = look(keg, places, {"STIGMER_LLM_PROVIDER": "gemini"})
    assert any(each.level == PROBLEM and "'gemini'" in each.text for each in every(report))


def test_a_check_that_fails_is_a_problem_and_the_others_run(keg: Path, places: Places) -> None:
    report = look(keg, places, {"TEMPORAL_SERVICE_ADDRESS": "there"})
    (finding,) = report["Temporal"]
    assert (finding.name, finding.level) == ("a check failed", PROBLEM)
    assert "expected host:port" in finding.text
    assert found(report, "Model", "provider").level == OK


def test_no_secret_of_the_file_or_of_a_url_is_shown(keg: Path, places: Places) -> None:
    write_config(
        places,
        f"backend:\n  local:\n    llm:\n      provider: openai\n      api_key: {SECRET}\n"
        f"      base_url: https://ada:{SECRET}@host/v1?key={SECRET}\n  cloud:\n    token: {SECRET}\n",
    )
    report = look(keg, places)
    assert found(report, "Model", "provider").text.endswith("https://****@host/v1")
    assert SECRET not in rendered(report)


# --- output ----------------------------------------------------------------------------------------------------------------

REPORT = {
    "One": [Finding("name", OK, "fine"), Finding("longer name", PROBLEM, "first\nsecond", "do this")],
    "Two": [Finding("x", WARNING, "careful")],
}


def test_the_text_has_sections_levels_and_remedies_in_columns() -> None:
    assert text_of(REPORT) == (
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
    assert text_of({"Two": REPORT["Two"] * 2}).endswith("no problems, 2 warnings.")


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


def command(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run `stigmer doctor`, and return its exit code and output."""
    out = io.StringIO()
    return main(("doctor", *arguments), environ, out, out), out.getvalue()


def test_the_exit_code_is_1_for_problems_and_the_json_output_contains_nothing_else(keg: Path, places: Places) -> None:
    code, text = command(STIGMER_HOME=places.home)
    assert (code, text.splitlines()[-1]) == (1, "1 problem, no warnings.")
    environ = {"STIGMER_PAYLOAD": str(keg), "STIGMER_HOME": places.home}
    code, text = command(**environ)
    assert (code, text.splitlines()[-1]) == (0, "No problems found.")
    code, text = command("--json", "--deep", **environ)
    assert (code, json.loads(text)["problems"]) == (0, 0)
