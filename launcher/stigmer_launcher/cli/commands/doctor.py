"""`stigmer doctor`: prints the findings, for people and for programs; exits with 1 when there is a problem."""

import json
from collections.abc import Iterator, Sequence

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.doctor.diagnosis import diagnose
from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding

_COLOURS = {OK: "green", NOTE: "dim", WARNING: "yellow", PROBLEM: "red"}
_LEVEL_WIDTH = len(PROBLEM)
_FORMAT = 1


def doctor(invocation: Invocation, context: Context) -> int:
    """Print what was found; the exit code is 1 when there is a problem, else 0."""
    findings = diagnose(context.environ, deep=invocation.has("deep"))
    report = render_json(findings) if invocation.has("json") else "\n".join(render_text(findings, context.out))
    context.out.text(report + "\n")
    return 1 if _count(findings, PROBLEM) else 0


def render_json(findings: Sequence[Finding]) -> str:
    """Return the report for programs."""
    plain = {
        "format": _FORMAT,
        "problems": _count(findings, PROBLEM),
        "warnings": _count(findings, WARNING),
        "findings": [finding._asdict() for finding in findings],
    }
    return json.dumps(plain, indent=2)


def render_text(findings: Sequence[Finding], out: Terminal) -> Iterator[str]:
    """Yield the lines of the report for people: a section, its findings, and in the end how many are bad."""
    width = max((len(finding.name) for finding in findings), default=0)
    margin = " " * (2 + _LEVEL_WIDTH + 1 + width + 2)
    section = ""
    for finding in findings:
        if finding.section != section:
            yield from ("", finding.section) if section else (finding.section,)
            section = finding.section
        level = out.paint(f"{finding.level:{_LEVEL_WIDTH}}", _COLOURS[finding.level])
        first, *rest = finding.text.split("\n")
        yield f"  {level} {finding.name:{width}}  {first}"
        yield from (margin + line for line in rest)
        if finding.remedy:
            yield f"{margin}-> {finding.remedy}"
    yield ""
    problems, warnings = _count(findings, PROBLEM), _count(findings, WARNING)
    summary = f"{_plural(problems, 'problem')}, {_plural(warnings, 'warning')}."
    yield summary if problems or warnings else "No problems found."


def _count(findings: Sequence[Finding], level: str) -> int:
    return sum(finding.level == level for finding in findings)


def _plural(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
