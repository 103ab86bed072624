"""Audit a bottle: everything that can be seen in the file itself, on any host, all findings at once."""

from stigmer_packaging.audit import index, layout, licences, platforms, receipt, secrets, traces, variables, weight
from stigmer_packaging.audit.check import ERROR, Check, Policy, Subject, run_checks
from stigmer_packaging.audit.loader import simulation
from stigmer_packaging.audit.reading import read_contents
from stigmer_packaging.lib.errors import AuditError
from stigmer_packaging.records.model import AuditReport, Finding, ReleaseFile
from stigmer_packaging.records.workspace import Workspace

_FAMILIES = (layout, receipt, platforms, simulation, index, secrets, traces, variables, weight, licences)
CHECKS = tuple(each for family in _FAMILIES for each in vars(family).values() if isinstance(each, Check))
"""All checks, in the order in which their findings are told."""


def audit_bottle(bottle: ReleaseFile, *, policy: Policy, workspace: Workspace) -> AuditReport:
    """Look at a bottle under a policy.

    Nothing is unpacked to disk and no program is run. Raise RecordError when the bottle is not the recorded one,
    ArchiveError when it cannot be read to its end. Findings raise nothing: see refuse_errors.
    """
    path = workspace.whole(bottle)
    subject = Subject(bottle, read_contents(path, f"{bottle.name}/{bottle.version}", policy), policy)
    files = [entry for entry in subject.contents.entries if entry.content is not None]
    made = AuditReport(
        target=bottle.target,
        bottle_sha256=bottle.sha256,
        findings=run_checks(CHECKS, subject),
        files=len(files),
        unpacked=sum(entry.size for entry in files),
        largest=weight.largest_files(subject.contents),
        glibc=platforms.render_version(max((elf.glibc for _, elf in platforms.elves(subject)), default=())),
    )
    workspace.write_record(f"audit/{bottle.target}", made)
    return made


def refuse_errors(report: AuditReport, bottle: ReleaseFile) -> None:
    """Raise AuditError with all that is wrong, unless no finding is an error."""
    if not report.passed:
        count = sum(finding.severity == ERROR for finding in report.findings)
        raise AuditError(f"{bottle.path}: {count} errors\n" + render_findings(report.findings))


def render_findings(findings: tuple[Finding, ...]) -> str:
    """Write findings for people, the checks' reason and remedy once after all that they found."""
    told = dict.fromkeys((each.severity, each.check, each.reason, each.remedy) for each in findings)
    lines: list[str] = []
    for severity, check, reason, remedy in told:
        lines.append(f"  {severity}: {check}: {reason}")
        found = [each for each in findings if (each.severity, each.check) == (severity, check)]
        lines += [f"    {each.path or '(the bottle)'}: {each.seen}" for each in found]
        lines.append(f"    -> {remedy}")
    return "\n".join(lines)
