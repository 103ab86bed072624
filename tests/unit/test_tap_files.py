"""A separate tap: its files match the golden ones, it is complete, and its repository can be cloned by brew."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from stigmer_packaging.ci.workflows import lint_with_zizmor
from stigmer_packaging.cli.tap import init_command
from stigmer_packaging.formula.tap_files import FILES, render_tap
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib import git
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import RecordError
from support.keg_standin import standin_manifest
from support.native_code import place

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "tap"
MANIFEST = standin_manifest()
SEPARATE = replace(MANIFEST, product=replace(MANIFEST.product, tap="acme/homebrew-tools"))
BOTTLES = [(tag, "a" * 64) for tag in ("arm64_sonoma", "sonoma", "arm64_linux", "x86_64_linux")]
FORMULA = render_formula(SEPARATE, "e" * 64, BOTTLES)
TAP = render_tap(SEPARATE, FORMULA, "licence\n", ROOT / "packaging")


@pytest.mark.parametrize("path", FILES)
def test_each_file_of_the_tap_matches_its_golden_file(path: str) -> None:
    assert TAP[path] == (GOLDEN / f"{Path(path).name}.golden").read_text(encoding="utf-8")


def test_the_tap_has_the_formula_and_the_licence_unchanged() -> None:
    assert TAP["Formula/stigmer.rb"] == FORMULA
    assert TAP["LICENSE"] == "licence\n"
    assert set(TAP) == {*FILES, "Formula/stigmer.rb", "LICENSE"}


BREW = """#!/bin/sh
case $1 in
    info) echo '{"formulae": [{"bottle": {"stable": {"files": {%s}}}}]}' ;;
    fetch) : ;; # exits with 0 for a bottle that does not exist, as brew does
esac
"""


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq, which hosted runners have")
@pytest.mark.parametrize(("missing", "code"), [("", 0), ("sonoma", 1)])
def test_a_bottle_that_the_formula_does_not_name_fails_the_step(missing: str, code: int, tmp_path: Path) -> None:
    workflow = YAML(typ="safe").load(TAP[".github/workflows/tests.yml"])
    script = next(step["run"] for step in workflow["jobs"]["syntax"]["steps"] if "fetch" in step.get("run", ""))
    named = ", ".join(f'"{tag}": {{}}' for tag, _ in BOTTLES if tag != missing)
    place(tmp_path / "brew", (BREW % named).encode())
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run(["bash", "-e", "-c", script], env=env, check=False).returncode == code


def test_zizmor_reports_nothing_in_the_workflow(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "tests.yml").write_text(TAP[".github/workflows/tests.yml"], encoding="utf-8")
    (folder.parent / "dependabot.yml").write_text(TAP[".github/dependabot.yml"], encoding="utf-8")
    assert [found for place in (folder, folder.parent) for found in lint_with_zizmor(place, env=os.environ)] == []


def test_platforms_without_a_bottle_are_neither_documented_nor_tested() -> None:
    formula = render_formula(SEPARATE, "e" * 64, BOTTLES[3:])
    files = render_tap(SEPARATE, formula, "", ROOT / "packaging")
    assert "There are bottles for Linux (x86_64).\n" in files["README.md"]
    assert "runner: [ubuntu-24.04]\n" in files[".github/workflows/tests.yml"]
    with pytest.raises(RecordError, match="names no bottles"):
        render_tap(SEPARATE, render_formula(SEPARATE, "e" * 64), "", ROOT / "packaging")


def test_the_command_creates_a_repository_with_everything_committed(tmp_path: Path) -> None:
    result = CliRunner().invoke(init_command, [str(tmp_path / "a tap")])
    assert result.exit_code == 0, result.output
    git = ["git", "-C", str(tmp_path / "a tap")]
    committed = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", "main"], capture_output=True, text=True, check=True
    )
    assert set(committed.stdout.split()) == {*FILES, "LICENSE", "Formula/stigmer.rb"}
    assert subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True).stdout == ""


def test_files_that_the_users_global_gitignore_names_are_committed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(f"[core]\nexcludesFile = {tmp_path}/ignore\n", encoding="utf-8")
    (tmp_path / "ignore").write_text("*.yml\nLICENSE\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "homebrew-tap"
    assert CliRunner().invoke(init_command, [str(folder)]).exit_code == 0
    tracked = git.list_tracked(folder, ["."], env=build_environment(os.environ))
    assert set(tracked) == {*FILES, "LICENSE", "Formula/stigmer.rb"}


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    result = CliRunner().invoke(init_command, [str(tmp_path)])
    assert isinstance(result.exception, RecordError)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
