"""The audit stage: checks everything that the bottle's file itself shows, on any host, and reports all findings."""

from stigmer_packaging.audit import index, layout, licences, platforms, receipt, secrets, traces, variables, weight
from stigmer_packaging.audit.check import ERROR, Check, Policy, Subject, run_checks
from stigmer_packaging.audit.loader import simulation
from stigmer_packaging.audit.reading import read_contents
from stigmer_packaging.lib.errors import AuditError
from stigmer_packaging.records.model import AuditReport, Finding, ReleaseFile
from stigmer_packaging.records.workspace import Workspace

_FAMILIES = (layout, receipt, platforms, simulation, index, secrets, traces, variables, weight, licences)
CHECKS = tuple(each for family in _FAMILIES for each in vars(family).values() if isinstance(each, Check))
"""All checks, in the order in which their findings are reported."""


def audit_bottle(bottle: ReleaseFile, *, policy: Policy, workspace: Workspace) -> AuditReport:
    """Run all checks on a bottle under a policy and write the report's record.

    Nothing is unpacked to disk and no program is run. Raise RecordError if the bottle is not the recorded one, and
    ArchiveError if it cannot be read to its end. Findings do not raise: see refuse_errors.
    """
    path = workspace.verified_path(bottle)
    subject = Subject(bottle, read_contents(path, f"{bottle.name}/{bottle.version}", policy), policy)
    files = [entry for entry in subject.contents.entries if entry.content is not None]
    report = AuditReport(
        target=bottle.target,
        bottle_sha256=bottle.sha256,
        findings=run_checks(CHECKS, subject),
        files=len(files),
        unpacked=sum(entry.size for entry in files),
        largest=weight.largest_files(subject.contents),
        glibc=platforms.render_version(max((elf.glibc for _, elf in platforms.elves(subject)), default=())),
    )
    workspace.write_record(f"audit/{bottle.target}", report)
    return report


def refuse_errors(report: AuditReport, bottle: ReleaseFile) -> None:
    """Raise AuditError with all findings if one of them is an error."""
    if not report.passed:
        count = sum(finding.severity == ERROR for finding in report.findings)
        raise AuditError(f"{bottle.path}: errors: {count}\n" + render_findings(report.findings))


def render_findings(findings: tuple[Finding, ...]) -> str:
    """Render findings as text, grouped by check, with the check's reason before and its remedy after them."""
    violated = dict.fromkeys((each.severity, each.check, each.reason, each.remedy) for each in findings)
    lines: list[str] = []
    for severity, check, reason, remedy in violated:
        lines.append(f"  {severity}: {check}: {reason}")
        found = [each for each in findings if (each.severity, each.check) == (severity, check)]
        lines += [f"    {each.path or '(the bottle)'}: {each.observation}" for each in found]
        lines.append(f"    -> {remedy}")
    return "\n".join(lines)
