"""The stage: all findings at once, one record, and a failure that names everything."""

from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.audit.check import Policy
from stigmer_packaging.audit.stage import audit_bottle, refuse_errors, render_findings
from stigmer_packaging.lib.errors import AuditError, RecordError
from stigmer_packaging.records.model import AuditReport, ReleaseFile
from stigmer_packaging.records.workspace import Workspace
from support.audit_bottles import COMPONENTS, LIBRARIES, Craft, good_bottle
from support.native_code import elf


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace", tmp_path / "cache")


def spoilt() -> Craft:
    """Make a bottle with one fault in its metadata, one in its code, one in its content."""
    craft = good_bottle()
    craft.keg["LICENSE"].uid = 1000
    craft.put(f"{LIBRARIES}/python3.13/module.so", elf("arm64", symbols=(("pow", "GLIBC_2.29"),)), 0o755)
    craft.put(f"{COMPONENTS}/agent-runner.lib/.env", "/root/.cargo/registry/x\n")
    return craft


def look(bottle: ReleaseFile, workspace: Workspace, policy: Policy | None = None) -> AuditReport:
    """Audit a bottle."""
    return audit_bottle(bottle, policy=policy or Policy(), workspace=workspace, report=lambda _: None)


def test_all_faults_are_found_at_once_the_gravest_first(workspace: Workspace) -> None:
    report = look(spoilt().pack(workspace), workspace)
    assert [(finding.severity, finding.check) for finding in report.findings] == [
        ("error", "owners"),
        ("error", "architecture"),
        ("error", "secret-file"),
        ("information", "builders-path"),
    ]
    assert not report.passed


def test_what_a_policy_is_lenient_with_is_a_warning(workspace: Workspace) -> None:
    """A bottle for the machine it was made on may need that machine's C library, and says that it does."""
    craft = good_bottle()
    craft.put(f"{LIBRARIES}/python3.13/module.so", elf("amd64", symbols=(("pow", "GLIBC_2.36"),)), 0o755)
    bottle = craft.pack(workspace)
    assert not look(bottle, workspace, Policy(glibc_floor="2.31")).passed
    report = look(bottle, workspace, Policy(glibc_floor="2.31", lenient=("glibc-floor",)))
    assert [(finding.severity, finding.check) for finding in report.findings] == [("warning", "glibc-floor")]
    assert (report.passed, report.glibc) == (True, "2.36")


def test_the_report_holds_the_figures_of_the_bottle(workspace: Workspace) -> None:
    craft = good_bottle()
    report = look(craft.pack(workspace), workspace)
    files = [piece for piece in craft.keg.values() if not piece.link]
    assert (report.target, report.files) == ("linux-amd64", len(files))
    assert report.unpacked == sum(len(piece.content) for piece in files)
    assert report.glibc == "2.14"
    assert report.largest[0][1] == max(len(piece.content) for piece in files)


def test_an_error_is_refused_with_all_findings_and_their_remedies(workspace: Workspace) -> None:
    bottle = spoilt().pack(workspace)
    report = look(bottle, workspace)
    with pytest.raises(AuditError) as raised:
        refuse_errors(report, bottle)
    text = str(raised.value)
    assert text.startswith(f"{bottle.path}: 3 errors\n")
    for finding in report.findings:
        assert all(part in text for part in (finding.check, finding.seen, finding.reason, finding.remedy))


def test_information_is_not_refused(workspace: Workspace) -> None:
    craft = good_bottle()
    craft.put("share/notes", "/root/.cargo/registry/x\n")
    bottle = craft.pack(workspace)
    report = look(bottle, workspace)
    assert [finding.severity for finding in report.findings] == ["information"]
    refuse_errors(report, bottle)


def test_reason_and_remedy_of_a_check_are_written_once_for_all_that_it_found(workspace: Workspace) -> None:
    craft = good_bottle()
    craft.keg["LICENSE"].mode = craft.keg["libexec/launcher/stigmer"].mode = 0o777
    report = look(craft.pack(workspace), workspace)
    assert render_findings(report.findings).splitlines() == [
        "  error: writable: others could change what a user runs",
        "    LICENSE: mode 0777",
        "    libexec/launcher/stigmer: mode 0777",
        "    -> give it 0755 or 0644",
    ]


def test_a_bottle_that_is_not_the_recorded_one_is_not_audited(workspace: Workspace) -> None:
    bottle = good_bottle().pack(workspace)
    with pytest.raises(RecordError, match="not the bottle that was recorded"):
        look(replace(bottle, sha256="0" * 64), workspace)


def test_nothing_is_unpacked_to_disk(workspace: Workspace) -> None:
    bottle = good_bottle().pack(workspace)
    look(bottle, workspace)
    files = sorted(path.relative_to(workspace.root).as_posix() for path in workspace.root.rglob("*") if path.is_file())
    assert files == [bottle.path, "records/audit/linux-amd64.json"]
