"""Findings of doctor, rendered as text for people and as JSON for programs."""

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stigmer_launcher.errors import LauncherError

SECTIONS = ("Stigmer", "Configuration", "Home", "Components", "Server", "Ports", "Temporal", "Model", "Doctor")
OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"
_FORMAT = 1
_LEVEL_WIDTH = len(PROBLEM)


class Finding(NamedTuple):
    """One thing looked at: where it belongs, how it is (`level`), in words, and what to do about it if anything."""

    section: str
    name: str
    level: str
    text: str
    remedy: str = ""


def problem(section: str, name: str, error: LauncherError) -> Finding:
    """Make a finding of a failure."""
    return Finding(section, name, PROBLEM, str(error), error.remedy)


class Report(NamedTuple):
    """Everything doctor found, in the order it is told."""

    findings: tuple[Finding, ...]

    def count(self, level: str) -> int:
        """Count the findings of one level."""
        return sum(finding.level == level for finding in self.findings)


def render_json(report: Report) -> str:
    """Return the report as JSON text."""
    plain = {
        "format": _FORMAT,
        "problems": report.count(PROBLEM),
        "warnings": report.count(WARNING),
        "findings": [finding._asdict() for finding in report.findings],
    }
    return json.dumps(plain, indent=2, ensure_ascii=False)


def render_text(report: Report, paint: Callable[[str, str], str]) -> str:
    """Return the report as text; `paint` is given the word that begins a line, and its level, to colour it."""
    problems, warnings = (report.count(level) for level in (PROBLEM, WARNING))
    summary = f"{_plural(problems, 'problem')}, {_plural(warnings, 'warning')}."
    return "\n".join(
        [*_sections(report.findings, paint), "", summary if problems or warnings else "No problems found."]
    )


def _sections(findings: tuple[Finding, ...], paint: Callable[[str, str], str]) -> Iterator[str]:
    width = max((len(finding.name) for finding in findings), default=0)
    margin = " " * (2 + _LEVEL_WIDTH + 1 + width + 2)
    section = ""
    for finding in findings:
        if finding.section != section:
            yield from ("", finding.section) if section else (finding.section,)
            section = finding.section
        first, *rest = finding.text.split("\n")
        yield f"  {paint(f'{finding.level:{_LEVEL_WIDTH}}', finding.level)} {finding.name:{width}}  {first}"
        yield from (margin + line for line in rest)
        if finding.remedy:
            yield f"{margin}-> {finding.remedy}"


def _plural(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
