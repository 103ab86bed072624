"""What people find in dist/: every artefact, described in one file, and checksums that their own tools read."""

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
    made = Workspace(tmp_path / "workspace", tmp_path / "cache")
    for path, text in FILES.items():
        made.path(path).parent.mkdir(parents=True, exist_ok=True)
        made.path(path).write_text(text, encoding="utf-8")
    return made


def records_of(workspace: Workspace, *left_out: str) -> dict[str, ReleaseFile]:
    kinds = {"bottle": "linux-amd64", "sbom": "linux-amd64", "source": "", "formula": ""}
    return {
        kind: ReleaseFile(kind, "stigmer", "2.0.0", path, len(text), digest.sha256_of(workspace.path(path)), target)
        for (kind, target), (path, text) in zip(kinds.items(), FILES.items(), strict=True)
        if kind not in left_out
    }


def deliver_all(workspace: Workspace, folder: Path, *left_out: str) -> Release:
    return deliver(records_of(workspace, *left_out), standin_manifest().product, workspace, folder)


@pytest.fixture
def delivered(workspace: Workspace, tmp_path: Path) -> Release:
    return deliver_all(workspace, tmp_path / "out")


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "--check", "--strict", CHECKSUMS]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_checksums_are_what_sha256sum_reads(delivered: Release, tmp_path: Path) -> None:
    done = check(tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{artefact.name}: OK" for artefact in delivered.artefacts]
    assert len(delivered.artefacts) == len(FILES)


def test_sha256sum_sees_a_file_that_is_not_the_released_one(delivered: Release, tmp_path: Path) -> None:
    (tmp_path / "out" / "stigmer-2.0.0.tar.gz").write_text("others", encoding="utf-8")
    done = check(tmp_path / "out")
    assert (done.returncode, "stigmer-2.0.0.tar.gz: FAILED" in done.stdout) == (1, True)


def test_all_of_it_is_described_in_one_file(delivered: Release, tmp_path: Path) -> None:
    read = read_release(tmp_path / "out")
    assert read == delivered
    (sbom,) = read.of_kind("sbom")
    assert (sbom.name, sbom.target) == ("stigmer-2.0.0.x86_64_linux.sbom.spdx.json", "linux-amd64")


def test_files_of_the_release_before_are_gone_and_others_stay(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    deliver_all(workspace, folder)
    (folder / "notes.txt").touch()
    deliver_all(workspace, folder, "bottle", "sbom")
    left = ["Formula", "SHA256SUMS", "notes.txt", "release.json", "stigmer-2.0.0.tar.gz"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(left)


def test_what_is_no_longer_what_its_record_says_is_not_delivered(workspace: Workspace, tmp_path: Path) -> None:
    records = records_of(workspace)
    workspace.path(records["source"].path).write_text("THE SOURCES", encoding="utf-8")
    with pytest.raises(RecordError, match=r"stigmer-2\.0\.0\.tar\.gz is not what its record says"):
        deliver(records, standin_manifest().product, workspace, tmp_path / "out")


def test_a_delivery_killed_anywhere_is_never_taken_for_whole_and_leaves_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    """SIGKILL before every change of the file system, over the delivery of another release."""
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
def test_reports_that_are_added_at_the_same_time_are_all_kept(workspace: Workspace, tmp_path: Path) -> None:
    """Two levels verify one folder beside each other, each in a workspace of its own."""
    names = [f"guest {number}" for number in range(16)]
    with ProcessPoolExecutor(8, multiprocessing.get_context("fork")) as processes:
        list(processes.map(partial(_add_report, workspace=workspace, folder=tmp_path / "out"), names))
    assert sorted(report.guest for report in read_release(tmp_path / "out").verifications) == sorted(names)
