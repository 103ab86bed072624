"""Doctor sees what is wrong, says what to do, tells no secret and changes nothing."""

import os
from pathlib import Path

import pytest

from stigmer_launcher.doctor.report import NOTE, OK, PROBLEM, WARNING
from stigmer_launcher.install.install import install
from stigmer_launcher.install.manifest import read_keg
from stigmer_launcher.system.places import Places
from support.doctoring import found, look, said
from support.launcher_payloads import build_libexec

SECRET = "sk-very-secret-key"  # noqa: S105 - the point of the tests


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Identify everything below a directory."""
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in sorted(directory.rglob("*"))}


def configure(places: Places, text: str) -> None:
    """Write the settings into a new home."""
    Path(places.home).mkdir()
    Path(places.config).write_text(text)


def test_on_a_fresh_machine_nothing_is_wrong_and_nothing_is_made(keg: Path, places: Places, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    report = look(keg, places, deep=True)
    assert report.count(PROBLEM) == 0, said(report)
    assert snapshot(tmp_path) == before
    assert found(report, "Components", "temporal")[2:] == (NOTE, "1.0.0, made at the next start", "")


def test_after_a_start_every_component_is_found_untouched(keg: Path, places: Places, tmp_path: Path) -> None:
    install(read_keg(str(keg)), places, lambda _: None)
    before = snapshot(tmp_path)
    report = look(keg, places)
    assert (report.count(PROBLEM), report.count(WARNING)) == (0, 0), said(report)
    assert found(report, "Components", "agent-runner").text == "1.0.0, 5 files, untouched"
    assert snapshot(tmp_path) == before


def test_a_missing_keg_is_a_problem_and_not_a_crash(places: Places, tmp_path: Path) -> None:
    for libexec in ("", str(tmp_path / "nowhere")):
        assert found(look(libexec, places), "Stigmer", "keg").level == PROBLEM


def test_a_damaged_file_is_named_with_the_way_to_heal_it(keg: Path, places: Places) -> None:
    install(read_keg(str(keg)), places, lambda _: None)
    Path(places.bin, "agent-runner.lib/a/1.so").unlink()
    finding = found(look(keg, places), "Components", "agent-runner")
    assert finding.level == WARNING
    assert "agent-runner.lib/a/1.so modified since installation" in finding.text
    assert "stigmer server" in finding.remedy
    assert (
        "agent-runner.lib/a/1.so is missing" in found(look(keg, places, deep=True), "Components", "agent-runner").text
    )


def test_only_the_deep_look_sees_another_content_of_the_keg(keg: Path, places: Places) -> None:
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
    old = install(read_keg(str(keg)), places, lambda _: None)
    report = look(newer, places)
    assert "the next start switches to 2.0.0" in found(report, "Components", "bin").text
    install(read_keg(str(newer)), places, lambda _: None, in_use=lambda: (old.id,))
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
    configure(places, "ports:\n  server: [\n")
    report = look(keg, places)
    assert "config.yaml, line 2" in found(report, "Configuration", "file").text
    assert found(report, "Model", "provider").level == OK


@pytest.mark.parametrize(("text", "level"), [("ports:\n  server: 1\n", WARNING), (None, PROBLEM)])
def test_a_configuration_that_others_can_read_is_worse_with_a_key_in_it(
    keg: Path, places: Places, text: str | None, level: str
) -> None:
    configure(places, text or f"backend:\n  local:\n    llm:\n      api_key: {SECRET}\n")
    Path(places.config).chmod(0o644)
    assert found(look(keg, places), "Configuration", "mode").level == level
    Path(places.config).chmod(0o600)
    assert [each for each in look(keg, places).findings if each.name == "mode"] == []


def test_settings_without_effect_are_told(keg: Path, places: Places) -> None:
    configure(places, "backend:\n  local:\n    data_dir: /x\n")
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
    configure(
        places,
        f"backend:\n  local:\n    llm:\n      provider: openai\n      api_key: {SECRET}\n"
        f"      base_url: https://ada:{SECRET}@host/v1?key={SECRET}\n  cloud:\n    token: {SECRET}\n",
    )
    Path(places.config).chmod(0o600)
    report = look(keg, places)
    assert found(report, "Model", "provider").text.endswith("https://host/v1")
    assert SECRET not in said(report)


def test_an_unknown_provider_is_a_problem(keg: Path, places: Places) -> None:
    report = look(keg, places, {"STIGMER_LLM_PROVIDER": "gemini"})
    assert any(each.level == PROBLEM and "'gemini'" in each.text for each in report.findings)
