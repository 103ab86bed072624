"""Changing the code of a stage or of its imports invalidates its artefacts; changing other code does not."""

import shutil
from importlib import metadata
from pathlib import Path

import pytest

from stigmer_packaging.pipeline import fingerprint
from stigmer_packaging.pipeline.stages import KINDS

DOMAIN = ("audit", "binaries", "bottle", "formula", "freeze", "licensing", "sources")
OUTSIDE_STAGES = {
    "bottle/reading.py",
    "formula/reading.py",
    "formula/tap_files.py",
    "sources/packages.py",  # only refuses projects that cannot be built
}
"""Modules of the domain packages that do not influence any record."""


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
        # data files that the modules read
        ("formula", "formula/templates/formula.rb.template"),
        ("assemble", "formula/templates/service/systemd.service"),
        ("freeze", "freeze/templates/onedir.spec.template"),
        ("freeze", "freeze/startup/collector.py"),
        ("freeze", "freeze/startup/validators.py"),
        ("audit", "audit/loader/symbols/darwin.txt"),
        ("freeze", "lib/errors.py"),
        # code that a stage calls through a protocol
        ("obtain", "sources/wheel.py"),
        ("freeze", "freeze/seams.py"),
        ("freeze/launcher", "freeze/pythons.py"),
        ("credit", "freeze/wheels.py"),
        ("verify", "verify/sandbox.py"),
    ],
)
def test_code_and_data_that_a_stage_uses_are_part_of_its_fingerprint(copy: Path, kind: str, name: str) -> None:
    assert digest_after(None, kind) != digest_after(copy / name, kind)


@pytest.mark.parametrize(
    "name",
    ["bottle/bottle.py", "cli/main.py", "bottle/archive.py", "formula/templates/formula.rb.template"],
)
def test_code_and_data_that_a_stage_does_not_use_are_not_part_of_its_fingerprint(copy: Path, name: str) -> None:
    assert digest_after(None) == digest_after(copy / name)


def test_another_version_of_a_library_invalidates_only_the_stages_that_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another libdeflate compresses to different bytes, so results would differ between a used and a new workspace."""
    before = {kind: digest_after(None, kind) for kind in ("bottle", "formula")}
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "9" if name == "deflate" else version(name))
    changed = {kind for kind, digest in before.items() if digest_after(None, kind) != digest}
    fingerprint.digest_of_code.cache_clear()
    assert changed == {"bottle"}


def test_every_domain_module_is_part_of_a_fingerprint_or_explicitly_excluded() -> None:
    """The code of a stage is found by its imports; a module missed there would leave stale artefacts."""
    covered = {
        path for kind in KINDS for module in modules_of(kind) for path in fingerprint.modules_behind(module).values()
    } | {path for folder in fingerprint.ROOT.iterdir() if folder.is_dir() for path in fingerprint.data_of(folder)}
    files = (path for name in DOMAIN for path in (fingerprint.ROOT / name).rglob("*.py"))
    missed = {path for path in files if path.name != "__init__.py"} - covered
    assert {path.relative_to(fingerprint.ROOT).as_posix() for path in missed} - OUTSIDE_STAGES == set()


def test_the_index_module_of_the_launcher_is_part_of_assemble() -> None:
    assert "stigmer_launcher.install.payload" in fingerprint.modules_behind("stigmer_packaging.bottle.assemble")
