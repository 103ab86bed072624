"""release.json survives a round trip, and a damaged one is refused."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.records.model import AuditReport, Check, Finding, VerificationReport
from stigmer_packaging.records.release import (
    NAME,
    Artefact,
    Release,
    level_of,
    mark_levels,
    parse_release,
    read_release,
)
from stigmer_packaging.records.text import render_record

PRODUCT = Product("one", "1.0.0", "MIT", "https://one.example/", "One", "one/homebrew-tap", "self")
CONTENT = b"a bottle"
BOTTLE = Artefact(
    "bottle",
    "one-1.0.0.sonoma.bottle.tar.gz",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    "darwin-amd64",
    "sonoma",
)
FINDING = Finding("warning", "size", "", "large", "slow", "smaller")
AUDIT = AuditReport("darwin-amd64", BOTTLE.sha256, (FINDING,), 3, 9, (("bin/one", 7),), "")
PROOF = VerificationReport("sandbox", "debian trixie", BOTTLE.sha256, (Check("starts", True, 0.5, ""),), True)
EMULATED, FAILED = replace(PROOF, emulated=True), replace(PROOF, guest="another", ended=False)
RELEASE = Release(PRODUCT, (BOTTLE,), (AUDIT,), (PROOF,))


def write(folder: Path) -> Path:
    (folder / BOTTLE.name).write_bytes(CONTENT)
    (folder / NAME).write_text(render_record(RELEASE), encoding="utf-8")
    return folder


def test_a_release_survives_a_round_trip(tmp_path: Path) -> None:
    assert read_release(write(tmp_path)) == RELEASE
    assert RELEASE.of_kind("bottle") == (BOTTLE,)
    assert RELEASE.of_kind("sbom") == ()


def test_a_release_knows_the_programs_of_each_target() -> None:
    program = replace(BOTTLE, kind="program", name="one-1.0.0-linux-amd64", target="linux-amd64")
    release = replace(RELEASE, artefacts=(BOTTLE, replace(BOTTLE, kind="sbom"), program))
    assert release.of_programs() == (BOTTLE, program)
    assert release.of_programs("linux-amd64") == (program,)
    assert release.of_programs("linux-arm64") == ()


def test_a_modified_or_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    (write(tmp_path) / BOTTLE.name).write_bytes(b"b bottle")
    with pytest.raises(RecordError, match=BOTTLE.name):
        read_release(tmp_path)
    (tmp_path / BOTTLE.name).unlink()
    with pytest.raises(RecordError, match=BOTTLE.name):
        read_release(tmp_path)


def test_a_folder_without_a_release_is_not_reported_as_damaged(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"there is no release\.json"):
        read_release(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"format": 3}', render_record(RELEASE).replace("artefacts", "other"), b"\xff", "[" * 100_000],
    ids=range(7),
)
def test_an_invalid_file_is_reported_as_damaged(text: str | bytes) -> None:
    with pytest.raises(RecordError, match="damaged"):
        parse_release(text)


def test_another_format_is_refused_by_its_number_whatever_its_keys() -> None:
    with pytest.raises(RecordError, match="format 2, but this version reads format 3"):
        parse_release('{"format": 2, "left_out": {}}')


@pytest.mark.parametrize(
    ("reports", "level"),
    [
        ((), "not run"),
        ((PROOF,), "verified in a sandbox"),
        ((EMULATED,), "verified by emulation"),
        ((EMULATED, PROOF), "verified in a sandbox"),
        ((replace(PROOF, level="vm", emulated=True),), "verified by emulation"),
        ((PROOF, replace(PROOF, level="vm")), "verified in a virtual machine"),
        ((replace(PROOF, level="mac"),), "verified on a Mac (report)"),
        ((PROOF, replace(PROOF, level="macos")), "verified on a Mac (report)"),
        ((PROOF, FAILED), "verification failed"),
        ((replace(PROOF, bottle_sha256="0" * 64),), "not run"),
    ],
)
def test_the_verification_level_is_that_of_the_strongest_report_on_the_same_bytes(
    reports: tuple[VerificationReport, ...], level: str
) -> None:
    release = mark_levels(replace(RELEASE, audits=(), verifications=reports))
    assert [one.verified for one in release.of_kind("bottle")] == [level]
    assert parse_release(render_record(release)) == release


@pytest.mark.parametrize(
    "report",
    [FAILED, replace(PROOF, checks=()), replace(PROOF, checks=(*PROOF.checks, Check("stops", False, 0.5, "")))],
    ids=["not ended", "no check", "a check failed"],
)
def test_a_report_passes_only_if_it_ended_and_every_check_passed(report: VerificationReport) -> None:
    assert (PROOF.passed, report.passed) == (True, False)


@pytest.mark.parametrize(
    ("reports", "verified"),
    [
        ((), False),
        ((PROOF,), True),
        ((EMULATED,), False),
        ((EMULATED, PROOF), True),
        ((FAILED,), False),
        ((PROOF, FAILED), False),
        ((replace(PROOF, bottle_sha256="0" * 64),), False),
    ],
)
def test_a_bottle_is_verified_if_it_ran_without_emulation_and_no_report_is_a_failure(
    reports: tuple[VerificationReport, ...],
    verified: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert replace(RELEASE, verifications=reports).is_verified(BOTTLE) == verified


@pytest.mark.parametrize(
    ("audit", "level"),
    [
        (AUDIT, "audited, loader simulated, not run"),
        (replace(AUDIT, findings=(replace(FINDING, severity="error"),)), "not run"),
        (replace(AUDIT, target="linux-amd64"), "not run"),
    ],
)
def test_a_bottle_that_was_not_run_has_the_level_of_its_audit(audit: AuditReport, level: str) -> None:
    assert level_of(BOTTLE, replace(RELEASE, audits=(audit,), verifications=())) == level
