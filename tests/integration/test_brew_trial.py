"""The verification with brew, with a FakeBrew that behaves and one that does not: each fault fails its own step."""

import itertools
import os
import shutil
import sys
from pathlib import Path

import pytest

from stigmer_packaging.cli import main as cli
from stigmer_packaging.cli.verify import verify_release_with_brew
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import MissingToolError, RecordError, VerificationError
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.brew.stage import verify_with_brew
from support import fake_brew
from support.keg_standin import quiet
from support.native_code import place
from support.publishable import write_release


def deliver(folder: Path, version: str) -> Path:
    write_release(folder, version, targets=("linux-amd64",))
    return folder


def make_brew(folder: Path, *faults: str) -> Path:
    """Write FakeBrew as a separate program with these faults; what it has installed before is kept."""
    folder.mkdir(exist_ok=True)
    shutil.copy(fake_brew.__file__, folder / "fake_brew.py")
    (folder / "faults").write_text("\n".join(faults))
    script = f'#!/bin/sh\nexec "{sys.executable}" -S -E -B "{folder}/fake_brew.py" "$@"\n'
    return place(folder / "brew", script.encode())


def verify(tmp_path: Path, *faults: str, versions: tuple[str, ...] = ("2.0.0", "2.0.1")) -> VerificationReport:
    ticks = itertools.count()
    return verify_with_brew(
        [deliver(tmp_path / f"{index}-{version}", version) for index, version in enumerate(versions)],
        make_brew(tmp_path / "brew", *faults),
        ports=("server",),
        env=os.environ,
        workspace=Workspace(tmp_path / "workspace", tmp_path / "cache"),
        clock=lambda: float(next(ticks)),
        report=quiet,
    )


def failed(report: VerificationReport) -> list[str]:
    return [check.name for check in report.checks if not check.passed]


def test_a_release_that_brew_accepts_passes_every_step_and_is_recorded(tmp_path: Path) -> None:
    """Afterwards brew has neither tap nor formula."""
    report = verify(tmp_path)
    assert [(check.name, check.detail) for check in report.checks if not check.passed] == []
    assert (report.level, report.guest, len(report.checks)) == ("brew", "Homebrew 6.0.18", 15)
    assert report.bottle_sha256 == digest.sha256_of(tmp_path / "0-2.0.0" / "stigmer-2.0.0.x86_64_linux.bottle.tar.gz")
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    assert workspace.read_record("verify/brew/linux-amd64", VerificationReport) == report
    assert workspace.path("verify/brew/linux-amd64.xml").is_file()
    assert not (tmp_path / "brew" / "taps" / "stigmer" / "homebrew-tap").exists()
    assert [path for path in (tmp_path / "brew" / "prefix").rglob("*") if not path.is_dir()] == []


FAULTS = {
    "warns": "brew reads the tap without a warning",
    "style": "brew style finds nothing in the formula",
    "audit": "brew audit --strict finds nothing in the formula",
    "rewrites": "the poured files are those of the release",
    "linkage": "brew linkage --test finds nothing",
    "no service": "brew has a unit for the service",
    "keeps the old keg": "brew upgrade pours the next release while a server runs",
    "leaves a link": "brew uninstall leaves the user's data and nothing else",
    "takes any bytes": "a bottle with another checksum is refused",
    "builds when missing": "a missing bottle is refused",
}


def test_every_fault_fails_its_own_step_and_no_other(tmp_path: Path) -> None:
    """All faults are in one run: every step is executed, whatever the results of the steps before."""
    report = verify(tmp_path, *FAULTS)
    assert not report.passed
    assert set(FAULTS.values()) == set(failed(report)) - {"brew reinstall pours again"}


UPGRADE = "brew upgrade pours the next release while a server runs"


@pytest.mark.parametrize(
    ("faults", "steps"),
    [
        (
            ("test", "kills the server", "takes the data"),
            {
                "brew test passes",
                UPGRADE,
                "after a restart the next release runs and works",
                "brew test passes after the upgrade",
                "brew uninstall leaves the user's data and nothing else",
            },
        ),
        (("builds",), {"the documented command pours the bottle", UPGRADE, "brew reinstall pours again"}),
    ],
    ids=["a broken server", "no bottle"],
)
def test_a_fault_fails_every_step_that_depends_on_it(tmp_path: Path, faults: tuple[str, ...], steps: set[str]) -> None:
    assert set(failed(verify(tmp_path, *faults))) == steps


def test_without_a_later_release_no_upgrade_is_tried(tmp_path: Path) -> None:
    report = verify(tmp_path, versions=("2.0.0",))
    assert failed(report) == []
    assert not [check.name for check in report.checks if "next" in check.name]


def test_a_brew_without_trust_passes_as_well(tmp_path: Path) -> None:
    assert failed(verify(tmp_path, "without trust", versions=("2.0.0",))) == []


def test_two_releases_of_one_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"both releases are 2\.0\.0"):
        verify(tmp_path, versions=("2.0.0", "2.0.0"))


def test_a_brew_that_has_the_formula_already_is_left_alone(tmp_path: Path) -> None:
    """A verification would end with an uninstall."""
    own = tmp_path / "brew" / "prefix" / "Cellar" / "stigmer" / "1.0.0"
    own.mkdir(parents=True)
    with pytest.raises(VerificationError, match="has stigmer/tap/stigmer or its tap already"):
        verify(tmp_path, versions=("2.0.0",))
    assert own.is_dir()


def test_the_command_verify_runs_the_level_brew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_brew(tmp_path / "brew")
    monkeypatch.setenv("PATH", f"{tmp_path / 'brew'}{os.pathsep}{os.environ['PATH']}")
    words = [str(deliver(tmp_path / "now", "2.0.0")), "--level", "brew", "--workspace", str(tmp_path / "workspace")]
    assert cli.run(["verify", *words, "--next", str(deliver(tmp_path / "next", "2.0.1")), "--json"]) == 0
    (tmp_path / "brew" / "faults").write_text("linkage")
    assert cli.run(["verify", *words]) == VerificationError.exit_code


def test_without_brew_or_a_folder_the_level_names_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="there is no brew on PATH"):
        next(verify_release_with_brew(tmp_path, None, workspace))
    monkeypatch.setenv("PATH", str(make_brew(tmp_path / "brew").parent))
    with pytest.raises(RecordError, match="is not a folder"):
        next(verify_release_with_brew(tmp_path / "absent", None, workspace))
