"""What brew reads in a keg: the receipt, placeholders and the service's definition."""

from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy, Subject, run_checks
from stigmer_packaging.audit.reading import read_contents
from stigmer_packaging.audit.table import CHECKS
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import RECEIPT, audit, found_by, good_bottle


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


@pytest.mark.parametrize("text", [None, "", "[]", "{", "null"])
def test_a_receipt_that_is_missing_or_no_object_is_found_and_stops_nothing(text: str | None, tmp_path: Path) -> None:
    craft = good_bottle()
    craft.keg.pop(RECEIPT)
    if text is not None:
        craft.put(RECEIPT, text)
    assert [finding.seen for finding in found_by(audit(craft, tmp_path), "receipt")] == [
        "missing" if text is None else "not a JSON object"
    ]


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
