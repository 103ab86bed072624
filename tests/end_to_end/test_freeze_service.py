"""Really frozen services: a small one that works, and broken ones as users have met them."""

import subprocess
from functools import partial
from pathlib import Path

import pytest

from stigmer_packaging.freeze.pyinstaller import DISTRIBUTIONS, FreezePlan, freeze
from stigmer_packaging.freeze.stage import Freezer, freeze_service, provide
from stigmer_packaging.freeze.wheels import Site, provide_site
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.manifest.model import FreezeTable
from stigmer_packaging.records.model import BuiltPart, OmittedModule
from stigmer_packaging.sources.locks import Pin, parse_lock, select_pins
from stigmer_packaging.sources.service_source import read_service_source
from support.freezing import CACHE, ENV, FAKE_TEMPORAL, PROBE, SAMPLES, copy_sample, make_freezer, make_program
from support.reference_programs import temporal_program
from support.wheels import install

pytestmark = pytest.mark.timeout(600)


def build(
    project: Path, folder: Path, temporal: Path | None = None, owners: dict[str, str] | None = None
) -> tuple[Freezer, BuiltPart]:
    freezer = make_freezer(folder)
    temporal = temporal or make_program(folder / "temporal", FAKE_TEMPORAL)
    source = read_service_source(project, owners and {"owners": owners})
    binary = freeze_service(
        source, component="greeter", version="1.0.0", temporal=temporal, probe=PROBE, freezer=freezer
    )
    return freezer, binary


def test_a_service_passes_every_gate_and_is_the_same_from_anywhere(tmp_path: Path) -> None:
    """Selftest, failure without Temporal, readiness and stop with it; another directory yields the same bytes."""
    freezer, binary = build(SAMPLES / "freeze-service", tmp_path)
    assert binary.entry == "greeter"
    folder = freezer.workspace.path(binary.root)
    assert {path.name for path in folder.iterdir()} == {"greeter", "greeter.lib"}
    done = subprocess.run([folder / "greeter", "--selftest"], env={}, check=True, capture_output=True, text=True)
    assert done.stdout == "hello, world MultipartParser\n"
    (tmp_path / "elsewhere").mkdir()
    _, again = build(copy_sample("freeze-service", tmp_path), tmp_path / "elsewhere")
    assert set(again.files) ^ set(binary.files) == set()
    assert again == binary


def test_a_module_that_is_imported_by_name_and_not_declared_fails_the_build(tmp_path: Path) -> None:
    """It works unfrozen; only running the frozen service reveals the fault."""
    project = copy_sample("freeze-service", tmp_path)
    table = (project / "pyproject.toml").read_text().replace('hidden_imports = ["greeter.by_name"]', "")
    (project / "pyproject.toml").write_text(table.replace('selftest = ["--selftest"]', ""))
    with pytest.raises(GateError, match=r"started without Temporal.*missing in the bundle[^$]*greeter\.by_name"):
        build(project, tmp_path)
    assert not (tmp_path / "build" / "freeze").exists()


def test_a_worker_that_gets_ready_and_cannot_run_a_workflow_fails_the_build(tmp_path: Path) -> None:
    """Temporal's sandbox imports a module by name for the first workflow; no other gate needs that module."""
    project = copy_sample("freeze-workflow", tmp_path)
    table = (project / "pyproject.toml").read_text()
    table = table.replace('["temporalio.worker.workflow_sandbox"]', "[]")
    table = table.replace("excludes = [", 'excludes = ["temporalio.worker.workflow_sandbox._in_sandbox", ')
    (project / "pyproject.toml").write_text(table)
    with pytest.raises(
        GateError, match=r"cannot run a workflow[^$]*No module named '[\w.]*workflow_sandbox\._in_sandbox'"
    ):
        build(project, tmp_path, temporal=temporal_program())
    assert not (tmp_path / "build" / "freeze").exists()


def test_two_owners_of_one_module_work_unfrozen_break_frozen_and_are_refused(tmp_path: Path) -> None:
    """`multipart` and `python-multipart` once prevented freezing the agent runner."""
    project, freezer = SAMPLES / "freeze-trap", make_freezer(tmp_path)
    with pytest.raises(GateError, match=r"multipart: multipart 1\.3\.0 \(multipart\.py\) and python-multipart"):
        build(project, tmp_path)
    pins = (
        *parse_lock((project / "requirements.lock").read_text(encoding="utf-8")),
        *select_pins(parse_lock(freezer.pins), DISTRIBUTIONS),
    )
    wanted = [pin for pin in pins if pin.applies(freezer.python.platform.markers)]
    python = freezer.python.assemble(partial(provide_site, wanted, cache=CACHE, env=ENV, report=freezer.report))
    installed = subprocess.run(
        python.command(str(project / "main.py")),
        env={"PYTHONPATH": str(python.site.folder)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert installed.stdout == "MultipartSegment\n"
    work = tmp_path / "work"
    work.mkdir()
    plan = FreezePlan("trap", "trap.lib", FreezeTable(str(project / "main.py")), (str(project),), optimize=0)
    folder = freeze(plan, python=python, env=ENV, source_date_epoch=1, work=work).folder
    broken = subprocess.run([folder / "trap"], check=False, capture_output=True, text=True)
    assert "cannot import name 'MultipartSegment' from 'multipart'" in broken.stderr


def test_a_project_with_a_spec_and_two_owners_of_a_module_is_frozen_as_it_is(tmp_path: Path) -> None:
    """The spec lists the modules, Poetry's lock the versions, the manifest `multipart`'s owner; both libraries work."""
    project = copy_sample("freeze-spec", tmp_path) / "service"
    (project / "greeter.spec.txt").rename(project / "greeter.spec")  # brew would take it for Ruby in our repository
    with pytest.raises(
        GateError, match=r"multipart: multipart 1\.3\.0 \(multipart\.py\) and python-multipart"
    ) as refused:
        build(project, tmp_path)
    assert "freeze: {owners: {multipart: multipart}}   # or python-multipart" in refused.value.remedy
    freezer, binary = build(project, tmp_path, owners={"multipart": "multipart"})
    assert binary.omitted == (OmittedModule("multipart", "python-multipart", "0.0.34", "multipart"),)
    assert {path.name for path in freezer.workspace.path(binary.root).iterdir()} == {"greeter", "greeter.lib"}


def test_a_locked_distribution_without_a_wheel_is_built_with_the_pinned_setuptools(tmp_path: Path) -> None:
    """Docopt has no wheel; a wrong hash is rejected as for any other distribution."""
    python = make_freezer(tmp_path).python

    def build_docopt(checksum: str) -> Site:
        pins = [Pin("docopt", "0.6.2", None, (f"sha256:{checksum}",), source_only=True)]
        provide_docopt = partial(provide_site, pins, cache=tmp_path / "cache", env=ENV, report=lambda _: None)
        return python.assemble(provide_docopt).site

    site = build_docopt("49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491")
    assert (site.folder / "docopt.py").is_file()
    with pytest.raises(GateError, match=r"no wheel of docopt 0\.6\.2"):
        build_docopt("0" * 64)


def test_a_distribution_added_to_the_environment_is_not_frozen(tmp_path: Path) -> None:
    """After pip was run in the cache, the environment is created again from the lock."""
    freezer = make_freezer(tmp_path, cache=tmp_path / "cache")
    pins = parse_lock((SAMPLES / "freeze-service" / "requirements.lock").read_text(encoding="utf-8"))
    site = provide(pins, freezer).site.folder
    before = {path.name for path in site.iterdir()}
    install(site, "stray")
    assert {path.name for path in site.iterdir()} > before
    assert provide(pins, freezer).site.folder == site
    assert {path.name for path in site.iterdir()} == before
