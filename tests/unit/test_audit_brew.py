"""Audit of the files that brew reads in a keg: receipt, placeholders and service definition."""

import pytest

from support.audit_bottles import RECEIPT, audit, findings_of, good_bottle


@pytest.mark.parametrize("version", ["", None, "5.1", "4.6.20", ">4.3.0 (no git repository)"])
def test_a_version_of_brew_that_would_relocate_is_found(version: str | None) -> None:
    builder = good_bottle()
    builder.edit(RECEIPT, homebrew_version=version)
    assert len(findings_of("receipt-version", builder)) == 1


def test_only_the_numbers_of_a_development_version_of_brew_count() -> None:
    builder = good_bottle()
    builder.edit(RECEIPT, homebrew_version="5.1.15-3-gabcdef")
    assert findings_of("receipt-version", builder) == []


def test_every_wrong_field_of_the_receipt_is_a_separate_finding() -> None:
    builder = good_bottle()
    builder.edit(RECEIPT, built_as_bottle=False, arch="arm64", source={"tap": "tap", "versions": []}, built_on=None)
    fields = ["built_as_bottle", "arch", "source.spec", "source.versions.stable", "built_on.os", "source.tap"]
    assert [seen.split(" is ")[0] for _, seen in findings_of("receipt", builder)] == fields


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_receipt_that_is_not_an_object_is_found_without_aborting_the_audit(text: str) -> None:
    builder = good_bottle()
    builder.put(RECEIPT, text)
    assert findings_of("receipt", builder) == [(RECEIPT, "not a JSON object")]


@pytest.mark.parametrize("listed", [None, "LICENSE", {}, [1], ["LICENSE", 1]])
def test_changed_files_that_are_not_a_list_of_names_are_found(listed: object) -> None:
    builder = good_bottle()
    builder.edit(RECEIPT, changed_files=listed)
    [(path, seen)] = findings_of("changed-files", builder)
    assert (path, "so brew searches every text file" in seen) == (RECEIPT, True)


def test_a_placeholder_is_allowed_in_a_file_that_the_receipt_lists() -> None:
    builder = good_bottle()
    builder.put("share/stigmer.conf", "prefix=@@HOMEBREW_PREFIX@@")
    builder.edit(RECEIPT, changed_files=["share/stigmer.conf", "share/absent"])
    assert [(finding.path, finding.observation) for finding in audit(builder).findings] == [
        (RECEIPT, "changed_files lists share/absent, which does not exist"),
        ("homebrew.stigmer.service", "contains @@HOMEBREW_PREFIX@@"),
    ]


def test_the_revision_of_a_formula_appears_in_the_folder_but_not_in_the_release() -> None:
    """Version 2.0.0_1 of the formula is release 2.0.0 in the receipt, the index and the SBOM."""
    builder = good_bottle()
    builder.revision = "_1"
    assert audit(builder).findings == ()
