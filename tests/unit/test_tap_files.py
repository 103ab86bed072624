"""A tap kept apart: as its golden files have it, whole, in a repository brew can clone, and pinned."""

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
APART = replace(MANIFEST, product=replace(MANIFEST.product, tap="acme/homebrew-tools"))
BOTTLES = [(tag, "a" * 64) for tag in ("arm64_sonoma", "sonoma", "arm64_linux", "x86_64_linux")]
FORMULA = render_formula(APART, "e" * 64, BOTTLES)
FOUR = render_tap(APART, FORMULA, "licence\n", ROOT / "packaging")


@pytest.mark.parametrize("path", FILES)
def test_each_file_of_the_tap_is_the_golden_one(path: str) -> None:
    assert FOUR[path] == (GOLDEN / f"{Path(path).name}.golden").read_text(encoding="utf-8")


def test_the_tap_holds_the_formula_and_the_licence_as_they_are() -> None:
    assert FOUR["Formula/stigmer.rb"] == FORMULA
    assert FOUR["LICENSE"] == "licence\n"
    assert set(FOUR) == {*FILES, "Formula/stigmer.rb", "LICENSE"}


BREW = """#!/bin/sh
case $1 in
    info) echo '{"formulae": [{"bottle": {"stable": {"files": {%s}}}}]}' ;;
    fetch) : ;; # with 0 for a bottle that is not there, as brew does
esac
"""


@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq on this machine, as there is on runners")
@pytest.mark.parametrize(("missing", "code"), [("", 0), ("sonoma", 1)])
def test_a_bottle_that_the_formula_does_not_name_fails_the_step(missing: str, code: int, tmp_path: Path) -> None:
    workflow = YAML(typ="safe").load(FOUR[".github/workflows/tests.yml"])
    script = next(step["run"] for step in workflow["jobs"]["syntax"]["steps"] if "fetch" in step.get("run", ""))
    named = ", ".join(f'"{tag}": {{}}' for tag, _ in BOTTLES if tag != missing)
    place(tmp_path / "brew", (BREW % named).encode())
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run(["bash", "-e", "-c", script], env=env, check=False).returncode == code


def test_zizmor_finds_nothing_in_the_workflow(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "tests.yml").write_text(FOUR[".github/workflows/tests.yml"], encoding="utf-8")
    (folder.parent / "dependabot.yml").write_text(FOUR[".github/dependabot.yml"], encoding="utf-8")
    assert [found for place in (folder, folder.parent) for found in lint_with_zizmor(place, env=os.environ)] == []


def test_platforms_without_a_bottle_are_neither_promised_nor_tried() -> None:
    formula = render_formula(APART, "e" * 64, BOTTLES[3:])
    files = render_tap(APART, formula, "", ROOT / "packaging")
    assert "There are bottles for Linux (x86_64).\n" in files["README.md"]
    assert "runner: [ubuntu-24.04]\n" in files[".github/workflows/tests.yml"]
    with pytest.raises(RecordError, match="names no bottles"):
        render_tap(APART, render_formula(APART, "e" * 64), "", ROOT / "packaging")


def test_the_command_makes_a_repository_with_one_commit_of_all_of_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(init_command, [str(tmp_path / "a tap")])
    assert done.exit_code == 0, done.output
    git = ["git", "-C", str(tmp_path / "a tap")]
    committed = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", "main"], capture_output=True, text=True, check=True
    )
    assert set(committed.stdout.split()) == {*FILES, "LICENSE", "Formula/stigmer.rb"}
    assert subprocess.run([*git, "status", "--short"], capture_output=True, text=True, check=True).stdout == ""


def test_what_the_users_own_ignore_file_names_is_committed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text(f"[core]\nexcludesFile = {tmp_path}/ignore\n", encoding="utf-8")
    (tmp_path / "ignore").write_text("*.yml\nLICENSE\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "homebrew-tap"
    assert CliRunner().invoke(init_command, [str(folder)]).exit_code == 0
    tracked = git.list_tracked(folder, ["."], env=build_environment(os.environ))
    assert set(tracked) == {*FILES, "LICENSE", "Formula/stigmer.rb"}


def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    done = CliRunner().invoke(init_command, [str(tmp_path)])
    assert isinstance(done.exception, RecordError)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
