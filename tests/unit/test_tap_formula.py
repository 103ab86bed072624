"""The committed formula is the last one generated: held against manifest and template without building anything."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.version import Version

from stigmer_packaging.cli.tap import refresh_command
from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.formula.tap_files import refresh_formula
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.reader import load_manifest
from support.keg_standin import standin_manifest

ROOT = Path(__file__).parents[2]
BOTTLES = (("arm64_sonoma", "a" * 64), ("x86_64_linux", "b" * 64))
MANIFEST = standin_manifest()


def released(version: str, rebuild: int = 0) -> Manifest:
    return standin_manifest(version=version, rebuild=rebuild)


def formula_of(manifest: Manifest) -> str:
    return render_formula(manifest, "e" * 64, BOTTLES)


FORMULA = formula_of(MANIFEST)


def test_the_committed_formula_is_the_last_one_generated() -> None:
    """The repository is a tap: what stands in Formula/ is what `brew install` reads."""
    manifest = load_manifest(ROOT / "packaging" / "manifest.yaml")
    assert [path.name for path in (ROOT / "Formula").iterdir()] == [f"{manifest.product.name}.rb"]
    committed = (ROOT / "Formula" / f"{manifest.product.name}.rb").read_text(encoding="utf-8")
    facts = parse_formula(committed)
    assert facts is not None
    there, here = (Version(facts.version), facts.rebuild), (Version(manifest.product.version), manifest.product.rebuild)
    assert there <= here, "it is of a release to come"
    assert there < here or refresh_formula(committed, manifest) == committed, "run scripts/tap-refresh"


def test_no_file_but_the_formula_passes_for_ruby() -> None:
    """`brew style` of the tap reads every .rb and .spec below it, and a template or sample would be a fault there."""
    folders = (ROOT / name for name in ("benchmarks", "launcher", "packaging", "scripts", "tests"))
    assert [path for folder in folders for kind in ("rb", "spec") for path in folder.rglob(f"*.{kind}")] == []


def test_a_formula_stays_that_of_the_stack_its_bottles_are_of() -> None:
    """The manifest describes two stacks, and a tap's formula names bottles of one."""
    for smoke in (True, False):
        text = render_formula(MANIFEST, "e" * 64, BOTTLES, smoke=smoke)
        assert refresh_formula(text, MANIFEST) == text


def test_a_refreshed_formula_names_the_same_bottles() -> None:
    old = FORMULA.replace("--force-bottle", "--build-from-source")
    assert refresh_formula(old, MANIFEST) == FORMULA


@pytest.mark.parametrize("manifest", [released("2.0.1"), released("2.0.0", 1)])
def test_a_formula_of_another_release_is_not_refreshed(manifest: Manifest) -> None:
    """Its bottles were made of another version: new text over them would promise what they are not."""
    with pytest.raises(RecordError, match=r"is at 2\.0\.0 rebuild 0"):
        refresh_formula(FORMULA, manifest)
    with pytest.raises(RecordError, match="an unreadable version"):
        refresh_formula("", manifest)


def test_the_command_writes_the_formula_of_its_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stigmer_packaging.cli.tap.ROOT", tmp_path)
    (tmp_path / "packaging").mkdir()
    (tmp_path / "Formula").mkdir()
    text = (ROOT / "packaging" / "manifest.yaml").read_text(encoding="utf-8")
    (tmp_path / "packaging" / "manifest.yaml").write_text(text, encoding="utf-8")
    manifest = load_manifest(tmp_path / "packaging" / "manifest.yaml")
    formula = tmp_path / "Formula" / "stigmer.rb"
    formula.write_text(formula_of(manifest).replace("--force-bottle", "--build-from-source"), encoding="utf-8")
    done = CliRunner().invoke(refresh_command)
    assert (done.exit_code, done.output) == (0, "Formula/stigmer.rb\n")
    assert formula.read_text(encoding="utf-8") == formula_of(manifest)
