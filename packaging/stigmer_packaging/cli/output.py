"""Output of the commands: progress on stderr during a run, a table or JSON on stdout at the end."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, JustifyMethod
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from stigmer_packaging.lib.digest import sha256_of_value
from stigmer_packaging.pipeline.plan import Step
from stigmer_packaging.pipeline.run import StepResult
from stigmer_packaging.publish.plan import Publication, PublicationPlan
from stigmer_packaging.publish.published import Statement
from stigmer_packaging.publish.report.page import megabytes
from stigmer_packaging.records.model import AuditReport, BuiltPart, Keg, ReleaseFile, VerificationReport
from stigmer_packaging.records.release import Artefact

PIPED_WIDTH = 160
"""The line width, in characters, when stdout is not a terminal."""


def print_progress(text: str) -> None:
    """Print a line of progress on stderr."""
    sys.stderr.write(f"{text}\n")


def stdout() -> Console:
    """Return the console for stdout, as wide as the terminal."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)


class TerminalProgress:
    """Prints a line with its duration for each finished step, and shows the messages of running steps.

    On a terminal, one changing line shows the messages; in a pipe, or with `verbose`, each is printed, as is the name
    of each step that begins. `verbose` also prints every command that the steps run.
    """

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console, self._verbose = console, verbose
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._bars = Bars(*columns, console=console, transient=True)
        self._live = console.is_terminal and not verbose
        self._task = self._bars.add_task("")
        self._names: dict[str, None] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._live:
            self._bars.stop()

    def begin(self, step: Step) -> None:
        """Show that a step begins."""
        if not self._names:
            self._bars.reset(self._task)
        self._names[step.name] = None
        self._bars.update(self._task, description=", ".join(self._names))
        if not self._live:
            self._print(f"… {step.name}")

    def show_message(self, text: str) -> None:
        """Show a message of a running step."""
        self._bars.update(self._task, description=f"{', '.join(self._names)}: {text}")
        if not self._live:
            self._print(f"… {text}")

    def log_line(self, line: str) -> None:
        """Echo the commands of a step; their output is only in its log."""
        if self._verbose and line.startswith("+ "):
            self._print(line)

    def end(self, result: StepResult) -> None:
        """Print a line for the step that ended."""
        self._names.pop(result.step.name, None)
        took = "reused" if result.reused else seconds(result.seconds)
        self._print(f"✓ {result.step.name} ({took})")

    def _print(self, line: str) -> None:
        """Print a line immediately: the console flushes its output."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def result_table(results: Sequence[StepResult]) -> Table:
    """Return the table of all steps: artefact, size, sha256, duration, and what was verified."""
    table = _table("Stage", "Artefact", "Size", "sha256", "Time", "Verified")
    for result in results:
        took = "reused" if result.reused else seconds(result.seconds)
        artefact, size, sha256 = _summarise(result.record)
        shown = (artefact or result.step.name, megabytes(size) if artefact else "", sha256[:16])
        table.add_row(result.step.stage, *shown, took, verified(result))
    return table


def _summarise(record: Any) -> tuple[str, int, str]:
    """Return an artefact's path in the workspace, size in bytes, and sha256 (of a folder: that of its file list)."""
    match record:
        case BuiltPart() | Keg():
            files = record.files
            return record.root, sum(file.size for file in files), sha256_of_value([asdict(file) for file in files])
        case ReleaseFile():
            return record.path, record.size, record.sha256
    return "", 0, ""


def _table(*headings: str, title: str | None = None) -> Table:
    """Return an empty table; times and sizes are right-aligned, and columns with long texts wrap."""
    table = Table(box=None, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for heading in headings:
        justify: JustifyMethod = "right" if heading in {"Size", "Time"} else "left"
        table.add_column(heading, justify=justify, no_wrap=heading not in {"Check", "Needs"})
    return table


def verdict(report: VerificationReport) -> str:
    """Return a line with the outcome of one verification."""
    failure = "NOT verified" if report.ended else "NOT verified: the report is incomplete"
    outcome = "verified" if report.passed else failure
    return f"{report.level}: {report.guest}: {outcome} in {seconds(sum(check.seconds for check in report.checks))}"


def timeline_table(report: VerificationReport) -> Table:
    """Return the table of one verification: each check, its duration as text and bar, and the reason of a failure."""
    total = sum(check.seconds for check in report.checks)
    table = _table("Time", "", "Check")
    for check in report.checks:
        bar = "▇" * round(20 * check.seconds / total) if total else ""
        detail = "" if check.passed else f"\n{check.detail}"
        table.add_row(seconds(check.seconds), bar, Text(f"{'✓' if check.passed else '✗'} {check.name}{detail}"))
    return table


def delivery_table(delivered: Sequence[Artefact], folder: Path) -> Table:
    """Return the table of released files: name, size, full sha256, and how each was verified."""
    table = _table("File", "Size", "sha256", "Verification", title=f"In {folder}")
    for file in delivered:
        table.add_row(file.name, megabytes(file.size), file.sha256, file.verified)
    return table


def plan_table(previewed: Sequence[tuple[Step, bool]]) -> Table:
    """Return the table of a dry run: each step, whether its record would be made or reused, and what it needs."""
    table = _table("Stage", "Record", "Would be", "Needs")
    for step, current in previewed:
        outcome = "reused" if current else "made"
        table.add_row(step.stage, step.name, outcome, ", ".join(step.needs))
    return table


def results_json(results: Sequence[StepResult], delivered: Sequence[Artefact]) -> str:
    """Return the results as JSON: every step with its record, and the delivered artefacts."""
    files = [asdict(file) for file in delivered]
    return json.dumps({"steps": list(map(_plain, results)), "delivered": files}, indent=2)


def _plain(result: StepResult) -> dict[str, object]:
    artefact, size, sha256 = _summarise(result.record)
    return {
        "name": result.step.name,
        "stage": result.step.stage,
        "target": result.step.target,
        "artefact": artefact,
        "size": size,
        "sha256": sha256,
        "seconds": round(result.seconds, 3),
        "reused": result.reused,
        "verified": verified(result),
        "record": asdict(result.record),
    }


def plan_json(previewed: Sequence[tuple[Step, bool]]) -> str:
    """Return a dry run as JSON."""
    steps = [
        {"name": step.name, "stage": step.stage, "target": step.target, "needs": list(step.needs), "current": current}
        for step, current in previewed
    ]
    return json.dumps({"plan": steps}, indent=2)


def verified(result: StepResult) -> str:
    """Return the result of an audit or a verification; empty for other steps."""
    match result.record:
        case VerificationReport(checks=checks, guest=guest):
            return f"{sum(check.passed for check in checks)} of {len(checks)} checks on {guest}"
        case AuditReport(findings=findings, files=files, glibc=glibc):
            warnings = sum(finding.severity == "warning" for finding in findings)
            warned = f"{warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
            needed = f"glibc {glibc}" if glibc else ""
            return ", ".join(filter(None, [f"{files} files without an error", warned, needed]))
    return ""


def warnings_of(results: Sequence[StepResult]) -> list[str]:
    """Return a line for each warning of the audits."""
    audits = [result.record for result in results if isinstance(result.record, AuditReport)]
    return [
        f"warning: {audit.target}: {finding.check}: {finding.path or 'the bottle'}: {finding.observation}"
        for audit in audits
        for finding in audit.findings
        if finding.severity == "warning"
    ]


def describe_plan(plan: PublicationPlan) -> list[str]:
    """Return lines that describe what would be published."""
    kind = "pre-release" if plan.prerelease else "release"
    lines = [f"{kind} {plan.tag} of {plan.repository} at {plan.commit}, with {len(plan.assets)} files:"]
    lines += [f"  {file.sha256}  {file.size:>11}  {file.asset}" for file in plan.assets]
    if plan.tap is None:
        return [*lines, "no tap is changed: users keep their formula", "", plan.notes]
    how = f"proposed from {plan.tap.proposal}" if plan.tap.proposal else "pushed"
    tap = f"{plan.tap.path} with sha256 {plan.tap.sha256}, {how} to {plan.tap.branch} of {plan.tap.repository}"
    return [*lines, f"tap: {tap}", "", plan.notes]


def describe_publication(result: Publication) -> list[str]:
    """Return lines that describe what was published."""
    kept = "immutable" if result.immutable else "its assets can still be changed: enable immutable releases"
    tap = f"{result.tap}: {result.pull_request or result.tap_commit}" if result.tap else "no tap was changed"
    return [f"{result.tag}: {result.page} ({kept})", tap]


def describe_statements(statements: Sequence[Statement]) -> list[str]:
    """Return the lines of a table that compares what each place states about each file."""
    rows = [("ok" if one.agrees else "no", one.file, one.place, one.stated) for one in statements]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def seconds(value: float) -> str:
    """Return a duration in a human-readable form."""
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60):02d} s"
