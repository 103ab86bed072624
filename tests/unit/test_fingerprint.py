"""Changed code of a stage, or of what it imports, makes its artefacts stale; other code does not."""

import shutil
from importlib import metadata
from pathlib import Path

import pytest

from stigmer_packaging.pipeline import fingerprint
from stigmer_packaging.pipeline.stages import KINDS

DOMAIN = ("audit", "binaries", "bottle", "formula", "freeze", "licensing", "sources")
NO_STAGES_CODE = {
    "bottle/reading.py",
    "formula/reading.py",
    "formula/tap_files.py",
    "sources/packages.py",  # refuses what cannot be built
}
"""Modules of the domain that shape no record."""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "stigmer_packaging"
    shutil.copytree(fingerprint.ROOT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(fingerprint, "ROOT", folder)
    monkeypatch.setattr(fingerprint, "HOMES", {"stigmer_packaging": folder})
    fingerprint.digest_of_code.cache_clear()
    return folder


def digest_after(change: Path | None, kind: str = "obtain") -> str:
    if change:
        change.write_text(change.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    fingerprint.digest_of_code.cache_clear()
    return fingerprint.digest_of_code(*modules_of(kind))


def modules_of(kind: str) -> list[str]:
    return [f"stigmer_packaging.{module}" for module in KINDS[kind].modules]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("obtain", "sources/stage.py"),
        ("obtain", "sources/contract.py"),
        ("obtain", "records/workspace.py"),
        ("obtain", "lib/target.py"),
        # what the modules read
        ("formula", "formula/templates/formula.rb.template"),
        ("assemble", "formula/templates/service/systemd.service"),
        ("freeze", "freeze/templates/onedir.spec.template"),
        ("freeze", "freeze/startup/collector.py"),
        ("freeze", "freeze/startup/validators.py"),
        ("audit", "audit/loader/symbols/darwin.txt"),
        ("freeze", "lib/errors.py"),
        # what a stage calls through a protocol
        ("obtain", "sources/wheel.py"),
        ("freeze", "freeze/seams.py"),
        ("freeze/launcher", "freeze/pythons.py"),
        ("credit", "freeze/wheels.py"),
        ("verify", "verify/sandbox.py"),
    ],
)
def test_what_a_stage_imports_reads_or_is_given_is_its_code(copy: Path, kind: str, name: str) -> None:
    assert digest_after(None, kind) != digest_after(copy / name, kind)


@pytest.mark.parametrize(
    "name",
    ["bottle/bottle.py", "cli/main.py", "bottle/archive.py", "formula/templates/formula.rb.template"],
)
def test_what_it_does_not_import_or_read_is_not(copy: Path, name: str) -> None:
    assert digest_after(None) == digest_after(copy / name)


def test_another_version_of_a_library_makes_stale_what_is_made_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another libdeflate packs the same files to other bytes: a used workspace and a new one would differ."""
    before = {kind: digest_after(None, kind) for kind in ("bottle", "formula")}
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9" if name == "deflate" else version(name))
    changed = {kind for kind, known in before.items() if digest_after(None, kind) != known}
    fingerprint.digest_of_code.cache_clear()
    assert changed == {"bottle"}


def test_every_module_of_the_domain_is_a_stages_code_or_known_to_shape_no_record() -> None:
    """No stage keeps a list of its own code, so a module that is missed would leave stale artefacts."""
    covered = {
        path for kind in KINDS for module in modules_of(kind) for path in fingerprint.modules_behind(module).values()
    } | {path for folder in fingerprint.ROOT.iterdir() if folder.is_dir() for path in fingerprint.data_of(folder)}
    files = (path for name in DOMAIN for path in (fingerprint.ROOT / name).rglob("*.py"))
    missed = {path for path in files if path.name != "__init__.py"} - covered
    assert {path.relative_to(fingerprint.ROOT).as_posix() for path in missed} - NO_STAGES_CODE == set()


def test_the_launchers_index_is_part_of_assemble() -> None:
    assert "stigmer_launcher.install.payload" in fingerprint.modules_behind("stigmer_packaging.bottle.assemble")
