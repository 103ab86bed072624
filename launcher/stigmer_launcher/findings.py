"""What doctor found, as values, and the two ways to show it: text to read or paste, JSON for programs."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

OK, NOTE, WARNING, PROBLEM = "ok", "note", "warning", "problem"
_FORMAT = 1


class Finding(NamedTuple):
    """One thing looked at: where it belongs, how it is (`level`), in words, and what to do about it if anything."""

    section: str
    name: str
    level: str
    text: str
    remedy: str = ""


class Report(NamedTuple):
    """Everything doctor found, in the order it is told."""

    findings: tuple[Finding, ...]

    def count(self, level: str) -> int:
        """Count the findings of one level."""
        return sum(finding.level == level for finding in self.findings)


def render_json(report: Report) -> str:
    """Give the report as JSON text."""
    plain = {
        "format": _FORMAT,
        "problems": report.count(PROBLEM),
        "warnings": report.count(WARNING),
        "findings": [finding._asdict() for finding in report.findings],
    }
    return json.dumps(plain, indent=2, ensure_ascii=False)


def render_text(report: Report, show_level: Callable[[str], str]) -> str:
    """Give the report as text; `show_level` gives the mark, or the word, that begins a line."""
    return "\n".join([*_sections(report.findings, show_level), "", summary(report)])


def summary(report: Report) -> str:
    """Say in one line how it is."""
    problems, warnings = report.count(PROBLEM), report.count(WARNING)
    if not problems and not warnings:
        return "Nothing is wrong."
    return f"{_plural(problems, 'problem')}, {_plural(warnings, 'warning')}."


def _sections(findings: Iterable[Finding], show_level: Callable[[str], str]) -> Iterator[str]:
    findings = tuple(findings)
    width = max((len(finding.name) for finding in findings), default=0)
    section = ""
    for finding in findings:
        if finding.section != section:
            yield from ("", finding.section) if section else (finding.section,)
            section = finding.section
        first, *rest = finding.text.split("\n")
        yield f"  {show_level(finding.level)} {finding.name:{width}}  {first}"
        yield from (f"    {'':{width}}  {line}" for line in rest)
        if finding.remedy:
            yield f"    {'':{width}}  -> {finding.remedy}"


def _plural(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
