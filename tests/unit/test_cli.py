"""The command line: text and JSON output, exit codes and errors, with real builds of a small tree."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_packaging.cli import main as cli
from stigmer_packaging.cli.options import ROOT
from stigmer_packaging.lib.errors import MissingToolError
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.plan import STAGES
from stigmer_packaging.pipeline.system import read_platform
from support.faulty_server import Faults, faulty_server
from support.manifest_texts import PATH, text_with, text_with_artifact
from support.native_code import place

HOST = str(read_platform(platform.system(), platform.machine()))
FOREIGN = "darwin-arm64" if HOST != "darwin-arm64" else "linux-arm64"
SERVICES = ("stigmer-server/cmd/server", "workflow-runner/cmd/worker")
COMPONENTS = load_manifest(PATH, reference=True).components
NAMES = ["stigmer-server", "temporal", "workflow-runner"]

needs_go = pytest.mark.skipif(not shutil.which("go"), reason="there is no Go on PATH")


def go_program_reading_its_variables(service: str) -> str:
    """Return a Go program that reads the variables that the manifest passes and fails without the required ones."""
    part = next(part for part in COMPONENTS if service.startswith(part.name))
    quoted = [", ".join(f'"{name}"' for name in names) for names in (part.run.environment, part.required)]
    return (
        'package main\n\nimport "os"\n\nfunc main() {\n'
        f"\tfor _, name := range []string{{{quoted[0]}}} {{\n\t\tos.Getenv(name)\n\t}}\n"
        f"\tfor _, name := range []string{{{quoted[1]}}} {{\n"
        '\t\tif os.Getenv(name) == "" {\n\t\t\tpanic(name)\n\t\t}\n\t}\n}\n'
    )


def write_tree(folder: Path) -> Path:
    """Write the source tree of a small product: two Go programs and a Python service that these tests do not freeze."""
    services = folder / "backend" / "services"
    for service in SERVICES:
        (services / service).mkdir(parents=True)
        (services / service / "main.go").write_text(go_program_reading_its_variables(service), encoding="ascii")
    (folder / "go.mod").write_text("module example.invalid/product\n\ngo 1.21\n", encoding="ascii")
    runner = services / "agent-runner"
    runner.mkdir()
    (runner / "pyproject.toml").write_text('[tool.stigmer.freeze]\nentry = "main.py"\n', encoding="ascii")
    for name in ("main.py", "requirements.lock"):
        (runner / name).touch()
    return folder


@pytest.fixture
def options(tmp_path: Path) -> Iterator[list[str]]:
    """Yield the options for a small product: its tree, and a prebuilt file from a server."""
    tree = write_tree(tmp_path / "product")
    program = Path(shutil.which("true") or "").read_bytes()
    with faulty_server(program, Faults()) as server:
        manifest = tmp_path / "manifest.yaml"
        manifest.write_text(text_with_artifact(server.url, hashlib.sha256(program).hexdigest()), encoding="utf-8")
        yield ["--manifest", str(manifest), "--checkout", str(tree), "--workspace", str(tmp_path / "build")]


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the downloads of a test in its own folder. Go's caches stay shared, as they are keyed by content."""
    monkeypatch.setenv("GOCACHE", str(Path.home() / ".cache" / "go-build"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@needs_go
def test_a_stage_writes_records_that_the_next_run_reuses(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["obtain", *options, "--json", "--verbose"]) == 0
    printed = capsys.readouterr()
    assert f"… obtain/{HOST}/temporal" in printed.err
    first = json.loads(printed.out)["steps"]
    assert sorted(step["record"]["component"] for step in first) == NAMES
    assert {step["reused"] for step in first} == {False}
    for step in first:
        entry = tmp_path / "build" / step["artefact"] / step["record"]["entry"]
        assert step["size"] == entry.stat().st_size
    assert cli.run(["obtain", *options]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("reused") == len(NAMES)
    assert printed.out.splitlines()[0].split() == ["Stage", "Artefact", "Size", "sha256", "Time", "Verified"]
    assert [line for line in printed.err.splitlines() if line.startswith("✓")] == printed.err.splitlines()


@needs_go
def test_a_changed_tree_rebuilds_only_the_components_built_from_it(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.run(["obtain", *options])
    main = tmp_path / "product/backend/services/stigmer-server/cmd/server/main.go"
    text = main.read_text(encoding="ascii")
    main.write_text(text.replace("{\n\tfor", '{\n\tprintln("new")\n\tfor', 1), encoding="ascii")
    capsys.readouterr()
    assert cli.run(["obtain", *options, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert {step["record"]["component"]: step["reused"] for step in steps} == {
        "temporal": True,
        "stigmer-server": False,
        "workflow-runner": False,  # rebuilt from the changed tree, with the same result
    }


@needs_go
def test_a_dry_run_prints_the_plan_and_creates_nothing(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["obtain", *options, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert [step["current"] for step in plan] == [False] * 3
    assert not (tmp_path / "build").exists()
    assert cli.run(["obtain", *options, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("made") == 3


@pytest.mark.parametrize("stage", ["release", "freeze", "bottle"])
def test_freezing_for_another_platform_with_the_host_python_is_refused_before_any_step(
    stage: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([stage, *options, "--python", "host", "--target", FOREIGN]) == 10
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: ")
    assert "\nHint: leave out --python: on Linux" in printed.err
    assert not (tmp_path / "build").exists()


def test_a_machine_that_cannot_fetch_the_sources_of_python_fails_before_any_step(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error once came minutes later, after other parts had been built."""

    def fake_apt_without_archives(*_: object) -> None:
        raise MissingToolError("this machine's apt sources name no Debian archive", "name a mirror by DEBIAN_MIRROR")

    monkeypatch.setattr("stigmer_packaging.lib.debian.find_archives", fake_apt_without_archives)
    assert cli.run(["freeze", *options, "--python", "pinned"]) == MissingToolError.exit_code
    assert "no Debian archive\nHint: name a mirror" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_an_executable_of_another_platform_is_refused(
    options: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.run(["obtain", *options, "--target", FOREIGN]) == 9
    assert f"temporal should be an executable for {FOREIGN}, but is one for " in capsys.readouterr().err
    assert not (tmp_path / "build" / "obtain" / FOREIGN / "temporal").exists()


def test_a_variable_sets_the_targets_for_all_commands_of_a_workflow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several targets are separated by spaces; --target takes precedence."""
    monkeypatch.setenv("STIGMER_TARGETS", "linux-amd64 linux-amd46")
    assert cli.run(["obtain", "--dry-run"]) == 2
    assert "did you mean 'linux-amd64'?" in capsys.readouterr().err
    assert cli.run(["obtain", "--dry-run", "--target", "linux-amd64"]) == 0
    assert "linux-amd64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["obtain", "--target", "linux-amd46"], "did you mean 'linux-amd64'?"),
        (["obtain", "--target", "all", "--target", "linux"], "unknown target 'linux'"),
        (["obtain", "--tarket", "x"], "No such option"),
        (["relase"], "No such command"),
        (["obtain", "surplus"], "unexpected extra argument"),
    ],
)
def test_a_usage_error_has_exit_code_2_and_an_explanation(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("value", ["abc", "1.5", "-5", "99999999999", "\u0661"])
def test_an_invalid_source_date_epoch_is_refused_before_any_step(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    assert cli.run(["bottle", "--dry-run"]) == 2
    assert f"SOURCE_DATE_EPOCH is '{value}': seconds since 1970 are expected" in capsys.readouterr().err


def test_an_empty_source_date_epoch_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert cli.run(["bottle", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "formula.rb").write_bytes(b"\xff")
    assert cli.run(["tap-init", str(tmp_path / "tap"), "--formula", str(tmp_path / "formula.rb")]) == 2
    assert f"{tmp_path}/formula.rb is not UTF-8 text" in capsys.readouterr().err


def test_an_invalid_manifest_has_exit_code_2_and_lists_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(text_with(("  tap: self", "  tup: self"), ("grace: 10", "grase: 10")), encoding="utf-8")
    assert cli.run(["obtain", "--manifest", str(manifest)]) == 2
    printed = capsys.readouterr().err
    assert "did you mean 'tap'?" in printed
    assert "did you mean 'grace'?" in printed
    assert f"Error: {manifest} has problems:" in printed
    assert "Hint: correct the manifest at the lines named" in printed


def test_a_tree_without_the_services_is_refused_before_any_step(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(tmp_path / "product" / "backend")
    assert cli.run(["release", *options]) == 9
    error = capsys.readouterr().err
    assert error.count("there is no folder ./backend/services/") == 3
    assert "Hint: pass another tree with --checkout" in error
    assert not (tmp_path / "build" / "records").exists()


def test_an_unwritable_workspace_is_an_error_without_a_traceback(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build").write_text("a file is in the way", encoding="ascii")
    assert cli.run(["obtain", *options]) != 0
    assert "Traceback" not in capsys.readouterr().err


def test_help_lists_every_stage_without_truncation_and_shows_the_script_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: scripts/packaging ")
    assert [name for name in ("release", *STAGES) if name not in text] == []
    assert "..." not in text.replace("[ARGS]...", "")


def test_a_terminated_release_stops_its_children_and_says_how_to_resume(options: list[str], tmp_path: Path) -> None:
    """A fake Go that never exits stands in for a long build."""
    pid = tmp_path / "pid"
    script = f"[ $1 = version ] && echo go version go1.99.0 x/y && exit\nsleep 0.5\necho $$ > {pid}\nexec sleep 600"
    fake = place(tmp_path / "bin" / "go", f"#!/bin/sh\n{script}\n".encode())
    env = {
        **os.environ,
        "PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("packaging", "launcher")),
    }
    release = subprocess.Popen(
        [sys.executable, "-m", "stigmer_packaging.cli", "obtain", *options], env=env, stderr=subprocess.PIPE, text=True
    )
    while not pid.is_file() or not pid.read_text(encoding="ascii").strip():
        assert release.poll() is None
        time.sleep(0.01)
    release.terminate()
    _, error = release.communicate(timeout=30)
    error = "".join(line for line in error.splitlines(keepends=True) if not line.startswith(("✓", "…")))
    assert (release.returncode, error) == (130, "\nError: interrupted\nHint: run it again; it resumes\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text(encoding="ascii")), 0)
    assert not list((tmp_path / "build" / "staging").iterdir())
