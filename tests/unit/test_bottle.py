"""Bottles and the source archive are reproducible, and are named and packed as brew expects."""

import gzip
import tarfile
from pathlib import Path

import pytest

from stigmer_packaging.bottle.bottle import make_bottle, make_source_archive
from stigmer_packaging.bottle.standalone import make_archive
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import ArchiveError, RecordError
from stigmer_packaging.records.model import ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from support.keg_standin import EPOCH, TAG, StandIn, build_standin


def pack(standin: StandIn, *, rebuild: int) -> ReleaseFile:
    return make_bottle(standin.keg, TAG, rebuild=rebuild, source_date_epoch=EPOCH, workspace=standin.workspace)


def pack_source(folder: Path, checkout: Path, paths: tuple[str, ...]) -> tuple[Workspace, ReleaseFile]:
    workspace = Workspace(folder / "workspace", folder / "cache")
    archive = make_source_archive(("stigmer", "2.0.0"), checkout, paths, source_date_epoch=EPOCH, workspace=workspace)
    return workspace, archive


@pytest.fixture
def standin(tmp_path: Path) -> StandIn:
    return build_standin(tmp_path)


def test_a_bottle_is_named_with_a_single_dash_and_recorded_with_its_sha256(standin: StandIn) -> None:
    assert standin.bottle.path == "dist/stigmer-2.0.0.x86_64_linux.bottle.tar.gz"
    path = standin.workspace.path(standin.bottle.path)
    assert (standin.bottle.size, standin.bottle.sha256) == (path.stat().st_size, digest.sha256_of(path))
    # brew reads name and version of a local bottle from its first member
    assert gzip.decompress(path.read_bytes()).startswith(b"stigmer/2.0.0/\0")
    assert pack(standin, rebuild=2).path == "dist/stigmer-2.0.0.x86_64_linux.bottle.2.tar.gz"


def test_bottles_of_equal_kegs_in_different_directories_are_identical(tmp_path: Path) -> None:
    assert build_standin(tmp_path / "one").bottle == build_standin(tmp_path / "another directory").bottle


def test_a_keg_that_differs_from_its_record_is_not_packed(standin: StandIn) -> None:
    (standin.workspace.path(standin.keg.root) / "libexec/extra").touch()
    with pytest.raises(RecordError, match="does not match its record"):
        pack(standin, rebuild=1)
    with pytest.raises(RecordError, match="does not match its record"):
        make_archive(standin.keg, source_date_epoch=EPOCH, workspace=standin.workspace)


def test_the_archive_without_homebrew_is_the_keg_without_the_files_that_only_brew_reads(standin: StandIn) -> None:
    archive = make_archive(standin.keg, source_date_epoch=EPOCH, workspace=standin.workspace)
    folder = "stigmer-2.0.0-linux-amd64"
    assert (archive.kind, archive.target, archive.path) == ("archive", "linux-amd64", f"dist/{folder}.tar.gz")
    of_brew = {".brew/stigmer.rb", "INSTALL_RECEIPT.json", "homebrew.stigmer.service"}
    kept = {file.path for file in standin.keg.files} - of_brew
    assert len(kept) == len(standin.keg.files) - len(of_brew)
    with tarfile.open(standin.workspace.path(archive.path)) as tar:
        assert {info.name for info in tar if info.isfile()} == {f"{folder}/{path}" for path in kept}
        assert tar.getmember(f"{folder}/bin/stigmer").linkname == "../libexec/launcher/stigmer"


def test_the_source_archive_holds_the_listed_files_below_name_and_version(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    (checkout / "scripts/release").write_text("#!/bin/sh\n", encoding="utf-8")
    (checkout / "scripts/release").chmod(0o775)
    (checkout / "scripts/alias").symlink_to("release")
    (checkout / "LICENSE").write_text("Apache\n", encoding="utf-8")
    workspace, archive = pack_source(tmp_path, checkout, ("scripts/release", "scripts/alias", "LICENSE"))
    assert archive.path == "dist/stigmer-2.0.0.tar.gz"
    with tarfile.open(workspace.path(archive.path)) as tar:
        assert [(info.name, oct(info.mode), info.linkname) for info in tar] == [
            ("stigmer-2.0.0", "0o755", ""),
            ("stigmer-2.0.0/LICENSE", "0o644", ""),
            ("stigmer-2.0.0/scripts", "0o755", ""),
            ("stigmer-2.0.0/scripts/alias", "0o777", "release"),
            ("stigmer-2.0.0/scripts/release", "0o755", ""),
        ]


def test_a_file_missing_from_the_checkout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="LICENSE belongs in the source archive"):
        pack_source(tmp_path, tmp_path, ("LICENSE",))
