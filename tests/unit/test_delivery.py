"""What people find in dist/: every artefact, described in one file, and checksums that their own tools read."""

import subprocess
from pathlib import Path

import pytest

from stigmer_packaging.lib import digest
from stigmer_packaging.pipeline.delivery import CHECKSUMS, deliver
from stigmer_packaging.records.model import ReleaseFile
from stigmer_packaging.records.release import Release, read_release
from stigmer_packaging.records.workspace import Workspace
from support.keg_standin import standin_manifest

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


def deliver_all(workspace: Workspace, folder: Path, *left_out: str) -> Release:
    kinds = {"bottle": "linux-amd64", "sbom": "linux-amd64", "source": "", "formula": ""}
    records = {
        kind: ReleaseFile(kind, "stigmer", "2.0.0", path, len(text), digest.sha256_of(workspace.path(path)), target)
        for (kind, target), (path, text) in zip(kinds.items(), FILES.items(), strict=True)
        if kind not in left_out
    }
    return deliver(records, standin_manifest().product, workspace, folder)


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
