"""The audit stage: all findings in one run, one record, and an error that lists every finding."""

from dataclasses import replace

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.stage import refuse_errors, render_findings
from stigmer_packaging.lib.errors import AuditError, RecordError
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import COMPONENTS, MODULE, audit, audit_in, good_bottle, with_module
from support.native_code import elf


def test_all_faults_are_reported_at_once_most_severe_first_with_their_remedies(workspace: Workspace) -> None:
    builder = good_bottle()
    builder.keg["LICENSE"].uid = 1000
    builder.put(MODULE, elf("arm64", symbols=(("pow", "GLIBC_2.29"),)), 0o755)
    builder.put(f"{COMPONENTS}/agent-runner.lib/.env", "/root/.cargo/registry/x\n")
    bottle = builder.pack(workspace)
    report = audit_in(workspace, bottle)
    assert [(finding.severity, finding.check) for finding in report.findings] == [
        ("error", "owners"),
        ("error", "architecture"),
        ("error", "secret-file"),
        ("information", "builders-path"),
    ]
    assert not report.passed
    with pytest.raises(AuditError) as raised:
        refuse_errors(report, bottle)
    text = str(raised.value)
    assert text.startswith(f"{bottle.path}: errors: 3\n")
    assert len(text.splitlines()) == 1 + 3 * len(report.findings)
    for finding in report.findings:
        assert all(part in text for part in (finding.check, finding.observation, finding.reason, finding.remedy))


def test_a_lenient_policy_turns_an_error_into_a_warning(workspace: Workspace) -> None:
    """A bottle for the machine that built it may need that machine's C library, but the report must show it."""
    builder = with_module("linux-amd64", elf(symbols=(("pow", "GLIBC_2.36"),)))
    assert not audit(builder, Policy(glibc_floor="2.31")).passed
    bottle = builder.pack(workspace)
    report = audit_in(workspace, bottle, Policy(glibc_floor="2.31", lenient=("glibc-floor",)))
    assert [(finding.severity, finding.check) for finding in report.findings] == [("warning", "glibc-floor")]
    assert (report.passed, report.glibc) == (True, "2.36")
    refuse_errors(report, bottle)


def test_the_report_contains_sizes_and_needed_glibc_of_the_bottle() -> None:
    builder = good_bottle()
    report = audit(builder)
    sizes = [len(piece.content) for piece in builder.keg.values() if not piece.link]
    assert (report.target, report.files, report.unpacked) == ("linux-amd64", len(sizes), sum(sizes))
    assert (report.glibc, report.largest[0][1]) == ("2.14", max(sizes))


def test_reason_and_remedy_of_a_check_are_printed_once_for_all_its_findings() -> None:
    builder = good_bottle()
    builder.keg["LICENSE"].mode = builder.keg["libexec/launcher/stigmer"].mode = 0o777
    assert render_findings(audit(builder).findings).splitlines() == [
        "  error: writable: other users could change what a user runs",
        "    LICENSE: mode 0777",
        "    libexec/launcher/stigmer: mode 0777",
        "    -> use mode 0755 or 0644",
    ]


def test_a_bottle_that_differs_from_its_record_is_not_audited(workspace: Workspace) -> None:
    bottle = good_bottle().pack(workspace)
    with pytest.raises(RecordError, match="does not match its record"):
        audit_in(workspace, replace(bottle, sha256="0" * 64))


def test_nothing_is_unpacked_to_disk(workspace: Workspace) -> None:
    bottle = good_bottle().pack(workspace)
    audit_in(workspace, bottle)
    files = sorted(path.relative_to(workspace.root).as_posix() for path in workspace.root.rglob("*") if path.is_file())
    assert files == [bottle.path, "records/audit/linux-amd64.json"]
