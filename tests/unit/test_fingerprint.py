"""Changed code of a stage, or of what it imports, makes its artefacts stale; other code does not."""

import shutil
from pathlib import Path

import pytest

from stigmer_packaging.pipeline import fingerprint
from stigmer_packaging.pipeline.stages import SOURCES

OBTAIN = "stigmer_packaging.sources.stage"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work on a copy of our sources."""
    folder = tmp_path / "stigmer_packaging"
    shutil.copytree(fingerprint.ROOT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "ROOT", folder)
    monkeypatch.setattr(fingerprint, "HOMES", {"stigmer_packaging": folder})
    fingerprint.digest_of_code.cache_clear()
    return folder


def digest_after(change: Path | None, module: str = OBTAIN) -> str:
    """Give the digest of a stage, after a line was added to a file."""
    if change:
        change.write_text(change.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    fingerprint.digest_of_code.cache_clear()
    return fingerprint.digest_of_code(module)


@pytest.mark.parametrize("name", ["sources/stage.py", "sources/executable.py", "records/workspace.py", "lib/target.py"])
def test_what_a_stage_imports_directly_or_not_is_its_code(copy: Path, name: str) -> None:
    assert digest_after(None) != digest_after(copy / name)


@pytest.mark.parametrize("name", ["bottle/bottle.py", "cli/main.py", "bottle/archive.py", "lib/errors.py"])
def test_what_it_does_not_import_or_what_words_failures_is_not(copy: Path, name: str) -> None:
    assert digest_after(None) == digest_after(copy / name)


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("formula.stage", "formula/templates/formula.rb.template"),
        ("bottle.assemble", "formula/templates/service/systemd.service"),
        ("freeze.stage", "freeze/templates/onedir.spec.template"),
        ("audit.stage", "audit/loader/symbols/darwin.txt"),
    ],
)
def test_what_the_modules_read_is_code_too(copy: Path, stage: str, name: str) -> None:
    module = f"stigmer_packaging.{stage}"
    assert digest_after(None, module) != digest_after(copy / name, module)


def test_what_other_packages_read_is_not(copy: Path) -> None:
    assert digest_after(None) == digest_after(copy / "formula" / "templates" / "formula.rb.template")


def test_every_kind_of_source_is_counted_as_the_obtain_stages_code() -> None:
    files = (fingerprint.ROOT / "sources").glob("*.py")
    modules = {path.stem for path in files if "def fetch(self" in path.read_text(encoding="utf-8")}
    assert modules - {"__init__"} == set(SOURCES)


def test_the_launchers_index_is_part_of_assemble() -> None:
    assert "stigmer_launcher.install.payload" in fingerprint.modules_behind("stigmer_packaging.bottle.assemble")
