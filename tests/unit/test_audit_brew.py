"""Bottles as brew itself makes them are accepted: what only we promise of ours is information there."""

from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy, Subject, run_checks
from stigmer_packaging.audit.reading import read_contents
from stigmer_packaging.audit.table import CHECKS
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import RECEIPT, Craft, audit, found_by, good_bottle

SAMPLES = Path(__file__).parents[1] / "samples" / "audit" / "brew"


def as_brew_makes_it(*, receipt: bool = True) -> Craft:
    """Make what `brew bottle` makes: its own files, its cleaner's modes, the builder's ids, the order of the folder."""
    craft = good_bottle()
    craft.seal()
    for sample in sorted(SAMPLES.iterdir()):
        craft.put(sample.name, sample.read_bytes())
    for path, piece in craft.keg.items():
        if not piece.link and path.startswith("libexec"):
            piece.mode = 0o555 if piece.mode & 0o100 else 0o444
        piece.uid, piece.gid, piece.user, piece.mtime = 1001, 118, "runner", 1_767_225_600.25
    craft.order = lambda names: names[::-1]
    craft.gzip_name, craft.gzip_time = "stigmer-bottle.tar", 1_767_225_601
    if not receipt:
        del craft.keg[RECEIPT]
    return craft


@pytest.mark.parametrize("receipt", [True, False], ids=["with its receipt", "with --only-json-tab"])
def test_a_bottle_that_brew_made_has_information_at_most(receipt: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of the test
    report = audit(as_brew_makes_it(receipt=receipt), tmp_path, Policy(ours=False))
    assert {finding.severity for finding in report.findings} == {"information"}
    assert report.passed


def test_the_same_bottle_is_refused_as_ours(tmp_path: Path) -> None:
    """Nobody could build it again with the same bytes."""
    report = audit(as_brew_makes_it(receipt=False), tmp_path)
    broken = {finding.check for finding in report.findings if finding.severity == "error"}
    assert broken == {"owners", "times", "order", "gzip-header", "receipt-missing"}
    assert broken <= {check.name for check in CHECKS if check.own}


def test_a_development_version_of_brew_counts_by_its_numbers(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.edit(RECEIPT, homebrew_version="5.1.15-3-gabcdef")
    assert found_by(audit(craft, tmp_path), "receipt-version") == []


@pytest.mark.parametrize("version", ["", None, "5.1", "4.6.20", ">4.3.0 (no git repository)"])
def test_a_version_of_brew_that_would_relocate_is_found(version: str | None, tmp_path: Path) -> None:
    craft = good_bottle()
    craft.edit(RECEIPT, homebrew_version=version)
    assert len(found_by(audit(craft, tmp_path), "receipt-version")) == 1


def test_every_wrong_field_of_the_receipt_is_a_finding_of_its_own(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.edit(RECEIPT, built_as_bottle=False, arch="arm64", source={"tap": "tap", "versions": []}, built_on=None)
    seen = [finding.seen.split(" is ")[0] for finding in found_by(audit(craft, tmp_path), "receipt")]
    fields = ["built_as_bottle", "arch", "source.spec", "source.versions.stable", "built_on.os", "source.tap"]
    assert seen == fields


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_receipt_that_is_no_object_is_found_and_stops_nothing(text: str, tmp_path: Path) -> None:
    craft = good_bottle()
    craft.put(RECEIPT, text)
    assert [finding.check for finding in audit(craft, tmp_path).findings] == ["receipt"]


def test_a_placeholder_is_right_in_a_file_that_the_receipt_lists(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.put("share/stigmer.conf", "prefix=@@HOMEBREW_PREFIX@@")
    craft.edit(RECEIPT, changed_files=["homebrew.stigmer.service", "share/stigmer.conf", "share/absent"])
    report = audit(craft, tmp_path)
    assert found_by(report, "placeholder") == []
    assert [finding.seen for finding in report.findings] == ["changed_files names share/absent, which is not there"]


def test_a_service_definition_that_brew_would_not_fill_in_is_found(tmp_path: Path) -> None:
    craft = good_bottle()
    craft.edit(RECEIPT, changed_files=[])
    seen = [(finding.path, finding.seen) for finding in found_by(audit(craft, tmp_path), "placeholder")]
    assert seen == [("homebrew.stigmer.service", "it holds @@HOMEBREW_PREFIX@@")]


def test_a_formulas_revision_is_part_of_the_folder_and_not_of_the_release(tmp_path: Path) -> None:
    """The version 2.0.0_1 is the release 2.0.0 in receipt and index."""
    workspace = Workspace(tmp_path / "workspace", tmp_path / "cache")
    bottle = good_bottle().pack(workspace)
    contents = read_contents(workspace.path(bottle.path), "stigmer/2.0.0", Policy())
    subject = Subject(replace(bottle, version="2.0.0_1"), contents, Policy())
    named = [check for check in CHECKS if check.name in {"receipt", "index"}]
    assert run_checks(named, subject) == ()
