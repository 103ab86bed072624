"""`stigmer doctor`: prints the findings for people or programs; the exit code is 1 when there is a problem."""

import json
from collections.abc import Iterator, Mapping, Sequence

from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.doctor.diagnosis import diagnose
from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, Finding

_COLOURS = {OK: "green", NOTE: "dim", WARNING: "yellow", PROBLEM: "red"}
_LEVEL_WIDTH = len(PROBLEM)

Report = Mapping[str, Sequence[Finding]]


def doctor(invocation: Invocation, context: Context) -> int:
    """Print the findings; the exit code is 1 when there is a problem, else 0."""
    report = diagnose(context.environ, deep=invocation.has("deep"))
    text = render_json(report) if invocation.has("json") else "\n".join(render_text(report, context.out))
    context.out.write(text + "\n")
    return 1 if _count(report, PROBLEM) else 0


def render_json(report: Report) -> str:
    """Return the report as JSON."""
    plain = {
        "format": 1,
        "problems": _count(report, PROBLEM),
        "warnings": _count(report, WARNING),
        "findings": [{"section": section, **each._asdict()} for section, found in report.items() for each in found],
    }
    return json.dumps(plain, indent=2)


def render_text(report: Report, out: Terminal) -> Iterator[str]:
    """Yield the lines of the report for people: each section with its findings, then the numbers of problems and warnings."""
    width = max(len(each.name) for found in report.values() for each in found)
    margin = " " * (2 + _LEVEL_WIDTH + 1 + width + 2)
    for section, found in report.items():
        yield section
        for finding in found:
            level = out.paint(f"{finding.level:{_LEVEL_WIDTH}}", _COLOURS[finding.level])
            yield f"  {level} {finding.name:{width}}  " + finding.text.replace("\n", f"\n{margin}")
            if finding.remedy:
                yield f"{margin}-> {finding.remedy}"
        yield ""
    problems, warnings = _count(report, PROBLEM), _count(report, WARNING)
    summary = f"{_plural(problems, 'problem')}, {_plural(warnings, 'warning')}."
    yield summary if problems or warnings else "No problems found."


def _count(report: Report, level: str) -> int:
    return sum(each.level == level for found in report.values() for each in found)


def _plural(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
