"""Delivery into dist/: every artefact, release.json that describes them, and checksums for sha256sum."""

import contextlib
import itertools
import multiprocessing
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.pipeline.delivery import CHECKSUMS, deliver, deliver_verifications
from stigmer_packaging.records.model import ReleaseFile, VerificationReport
from stigmer_packaging.records.release import NAME, Release, read_release
from stigmer_packaging.records.workspace import Workspace
from support.keg_standin import standin_manifest
from support.killed_runs import die_before_change, in_child

FILES = {
    "dist/stigmer-2.0.0.x86_64_linux.bottle.tar.gz": "a bottle",
    "dist/stigmer-2.0.0.x86_64_linux.sbom.spdx.json": "{}",
    "dist/stigmer-2.0.0.tar.gz": "the sources",
    "dist/Formula/stigmer.rb": "class Stigmer\n",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    filled = Workspace(tmp_path / "workspace", tmp_path / "cache")
    for path, text in FILES.items():
        filled.path(path).parent.mkdir(parents=True, exist_ok=True)
        filled.path(path).write_text(text, encoding="utf-8")
    return filled


def records_of(workspace: Workspace, *omitted: str) -> dict[str, ReleaseFile]:
    kinds = {"bottle": "linux-amd64", "sbom": "linux-amd64", "source": "", "formula": ""}
    return {
        kind: ReleaseFile(kind, "stigmer", "2.0.0", path, len(text), digest.sha256_of(workspace.path(path)), target)
        for (kind, target), (path, text) in zip(kinds.items(), FILES.items(), strict=True)
        if kind not in omitted
    }


def deliver_all(workspace: Workspace, folder: Path, *omitted: str) -> Release:
    return deliver(records_of(workspace, *omitted), standin_manifest().product, workspace, folder)


@pytest.fixture
def delivered(workspace: Workspace, tmp_path: Path) -> Release:
    return deliver_all(workspace, tmp_path / "out")


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "--check", "--strict", CHECKSUMS]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_checksums_can_be_verified_with_sha256sum(delivered: Release, tmp_path: Path) -> None:
    completed = check(tmp_path / "out")
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines() == [f"{artefact.name}: OK" for artefact in delivered.artefacts]
    assert len(delivered.artefacts) == len(FILES)


def test_sha256sum_detects_a_changed_file(delivered: Release, tmp_path: Path) -> None:
    (tmp_path / "out" / "stigmer-2.0.0.tar.gz").write_text("others", encoding="utf-8")
    completed = check(tmp_path / "out")
    assert (completed.returncode, "stigmer-2.0.0.tar.gz: FAILED" in completed.stdout) == (1, True)


def test_all_artefacts_are_described_in_one_file(delivered: Release, tmp_path: Path) -> None:
    read = read_release(tmp_path / "out")
    assert read == delivered
    (sbom,) = read.of_kind("sbom")
    assert (sbom.name, sbom.target) == ("stigmer-2.0.0.x86_64_linux.sbom.spdx.json", "linux-amd64")


def test_files_of_the_previous_release_are_removed_and_other_files_are_kept(
    workspace: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    deliver_all(workspace, folder)
    (folder / "notes.txt").touch()
    deliver_all(workspace, folder, "bottle", "sbom")
    expected = ["Formula", "SHA256SUMS", "notes.txt", "release.json", "stigmer-2.0.0.tar.gz"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(expected)


def test_an_artefact_that_differs_from_its_record_is_not_delivered(workspace: Workspace, tmp_path: Path) -> None:
    records = records_of(workspace)
    workspace.path(records["source"].path).write_text("THE SOURCES", encoding="utf-8")
    with pytest.raises(RecordError, match=r"stigmer-2\.0\.0\.tar\.gz does not match its record"):
        deliver(records, standin_manifest().product, workspace, tmp_path / "out")


def test_a_delivery_killed_at_any_time_is_never_complete_and_the_next_one_cleans_up(
    workspace: Workspace, tmp_path: Path
) -> None:
    """SIGKILL before each change of the file system, while replacing the delivery of another release."""
    folder, source = tmp_path / "out", workspace.path("dist/stigmer-2.0.0.tar.gz")
    kills = 0
    for number in itertools.count(1):
        shutil.rmtree(folder, ignore_errors=True)
        source.write_text("older bytes", encoding="utf-8")
        deliver_all(workspace, folder)
        source.write_text("newer bytes", encoding="utf-8")

        def deliver_and_die(before: int = number) -> None:
            die_before_change(before)
            deliver_all(workspace, folder, "bottle")

        killed = in_child(deliver_and_die) != 0
        with contextlib.suppress(RecordError):
            assert (folder / CHECKSUMS).read_text(encoding="ascii") == read_release(folder).checksums()
        deliver_all(workspace, folder, "bottle")
        left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert left == {one.name for one in read_release(folder).artefacts} | {CHECKSUMS, NAME}
        if not killed:
            break
        kills += 1
    assert kills > 10


def _add_report(name: str, workspace: Workspace, folder: Path) -> None:
    report = VerificationReport("sandbox", name, "0" * 64, (), ended=True)
    deliver_verifications({f"verify/{name}": report}, workspace, folder)


@pytest.mark.usefixtures("delivered")
def test_reports_added_concurrently_are_all_kept(workspace: Workspace, tmp_path: Path) -> None:
    """Two levels may verify the same folder concurrently, each with its own workspace."""
    names = [f"guest {number}" for number in range(16)]
    with ProcessPoolExecutor(8, multiprocessing.get_context("fork")) as processes:
        list(processes.map(partial(_add_report, workspace=workspace, folder=tmp_path / "out"), names))
    assert sorted(report.guest for report in read_release(tmp_path / "out").verifications) == sorted(names)
