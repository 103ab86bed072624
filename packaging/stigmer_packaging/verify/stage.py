"""Verifies a bottle on a fresh machine: pours it where there is no Python, and runs the checks there."""

import contextlib
import re
from dataclasses import replace

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import ForeignTargetError, RecordError
from stigmer_packaging.records.model import ReleaseFile, VerificationReport
from stigmer_packaging.records.release import Release
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.guest import Machine, Task, Trial
from stigmer_packaging.verify.guest_report import MAC, parse_mac_report, parse_report
from stigmer_packaging.verify.junit import write_results

_UNSAFE = re.compile(r"[^\w.-]+")
"""Characters of a machine's name that are not allowed in a file name."""

_RECORD = 2
"""Version of the reports, part of their cache key. 2: reports record whether the processor was emulated."""


def current_report(
    bottle: ReleaseFile, machine: Machine, task: Task, workspace: Workspace, name: str
) -> VerificationReport | None:
    """Return the report of an earlier run that passed with the same inputs, or None."""
    with contextlib.suppress(RecordError):
        kept = workspace.read_record(name, VerificationReport)
        if kept.passed and kept.inputs == _digest_of_inputs(bottle, machine, task):
            return kept
    return None


def verify_bottle(
    bottle: ReleaseFile, machine: Machine, task: Task, *, workspace: Workspace, name: str
) -> VerificationReport:
    """Run the task's script on the poured bottle, or on the single file instead.

    A run that is killed at its deadline has not ended. The record is `name`; the guest's output is in NAME.log, the
    checks as JUnit XML in NAME.xml. The nonce must be new for each call. Raise RecordError if the bottle differs from
    its record, ArchiveError if it cannot be poured, ForeignTargetError if its platform differs from the machine's.
    """
    if machine.target != bottle.target:
        raise ForeignTargetError(
            f"{machine.name} is a machine for {machine.target} and cannot run programs for {bottle.target}",
            f"verify it on a machine for {bottle.target}",
        )
    path = workspace.verified_path(bottle)
    with workspace.staging() as staging:
        trial = Trial(path, bottle.name, bottle.version, task, unpacks_itself=bottle.kind == "program")
        run = machine.run(trial, staging)
    guest = parse_report(run.output, task.nonce)
    ended = guest.complete and run.code is not None and (run.code == 0) == all(check.passed for check in guest.checks)
    checks = (*run.steps, *guest.checks)
    inputs = _digest_of_inputs(bottle, machine, task)
    result = VerificationReport(machine.level, machine.name, bottle.sha256, checks, ended, inputs, run.emulated)
    outcome = "killed at its deadline" if run.code is None else f"exit code {run.code}"
    log = f"{run.output}\n--- errors\n{run.errors}\n--- {outcome}\n"
    write_results(name, result, workspace, log=log)
    return result


def _digest_of_inputs(bottle: ReleaseFile, machine: Machine, task: Task) -> str:
    scripts = (digest.sha256_of(script) for script in task.scripts)
    return digest.sha256_of_value(_RECORD, machine.level, bottle.sha256, machine.recipe, *scripts)


def import_report(text: str, release: Release, workspace: Workspace) -> dict[str, VerificationReport]:
    """Store a report of scripts/check-on-mac as the verification of a release's bottle, and of its single file.

    Return the records by name; the machine is part of each name. RecordError if the report is about another bottle.
    """
    parsed, files = parse_mac_report(text)
    checked = [artefact for artefact in release.of_programs() if artefact.sha256 in files]
    if parsed.bottle_sha256 not in {artefact.sha256 for artefact in checked if artefact.kind == "bottle"}:
        raise RecordError(
            f"the report is of the bottle with sha256 {parsed.bottle_sha256}, which this release does not have",
            "make a report of this release: scripts/check-on-mac FOLDER REPORT",
        )
    reports = {}
    for artefact in checked:
        report = replace(parsed, bottle_sha256=artefact.sha256)
        name = f"verify/{MAC}/{artefact.target}-{artefact.kind}/{_UNSAFE.sub('-', report.guest)}"
        write_results(name, report, workspace, log=text)
        reports[name] = report
    return reports
