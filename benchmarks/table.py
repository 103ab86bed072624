"""The rows of the speed table, and the rendering of results. No I/O."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One promise: `what` compared with `against` is at most `limit` `unit`; `terms` say exactly what is measured."""

    what: str
    against: str
    limit: float
    unit: str
    terms: str


class Result(NamedTuple):
    """The value reached, the medians (or reading) it is computed from, and the number of measurements."""

    reached: float
    medians: str
    n: int


RATIO, MEGABYTES, PERCENT = "x", "MB PSS", "% of a core"

ROWS: Mapping[str, Row] = {
    "version": Row(
        "`stigmer --version`, frozen",
        "`python3 -I -S -c pass`, same Python",
        1.35,
        RATIO,
        "Whole processes, from spawn to wait. The same Python: the interpreter the launcher was frozen from.",
    ),
    "status": Row(
        "`stigmer server status`",
        "the same",
        2.5,
        RATIO,
        "Whole processes; nothing runs in that home, so the answer is `stopped` and the exit code 3.",
    ),
    "status-running": Row(
        "`stigmer server status`, everything running",
        "the same",
        2.5,
        RATIO,
        "Beyond what was asked: the same with the table of four services to print.",
    ),
    "install": Row(
        "install all components",
        "a bare loop of `os.link` over the same files",
        3.0,
        RATIO,
        "The launcher's own function against the loop, both inside one process of the Python it is frozen from, "
        "with everything imported. Included on "
        "our side alone: reading the keg's index, checks of the home, the lock, the look at each file made, its "
        "directories, the stamp, and the switch. The loop finds its directories made, which on ext4 cost about as much as "
        "the links themselves: the next row holds both sides to the same work.",
    ),
    "install-directories": Row(
        "install all components",
        "the loop, when it makes the directories as well",
        3.0,
        RATIO,
        "Beyond what was asked.",
    ),
    "cold": Row(
        "first `stigmer server` to all ready, empty home",
        "the four programs started by a 20-line script in the ideal order, polled every 5 ms",
        1.08,
        RATIO,
        "Ours: the whole command, from its spawn to its end, components and configuration included. The script: from "
        "the first program's spawn to the last proof, its own interpreter's start and all preparation left out; the "
        "programs run straight from the keg, with the same arguments, environment and checks (benchmarks/programs.py).",
    ),
    "warm": Row("the same, warm", "the same", 1.08, RATIO, "As above, with the databases and components of the start before."),
    "stop": Row(
        "stop of an idle stack",
        "the slowest service's own reaction to SIGTERM",
        1.05,
        RATIO,
        "Ours: the whole command `stigmer server stop`. The other: the script's stack told service by service in the "
        "same order, each when the one before is gone; the slowest one's seconds from signal to exit.",
    ),
    "stop-order": Row(
        "stop of an idle stack",
        "the reactions of its services, one stop order after the other",
        1.05,
        RATIO,
        "Beyond what was asked: of each stop order the slowest service, added, which no stop in that order goes below.",
    ),
    "memory": Row("supervisor at rest, memory", "", 15.0, MEGABYTES, "smaps_rollup of the supervisor and of its watchdog, added."),
    "processor": Row("supervisor at rest, processor", "", 0.2, PERCENT, "User and system time of both, from /proc/PID/stat."),
}  # fmt: skip


def is_met(row: Row, result: Result) -> bool:
    """Return whether the result is within the row's limit."""
    return result.reached <= row.limit


def render_table(results: Mapping[str, Result]) -> str:
    """Return the table in Markdown; raise ValueError unless there is exactly one result for each row."""
    if results.keys() != ROWS.keys():
        raise ValueError(f"rows and results differ: {sorted(results.keys() ^ ROWS.keys())}")
    lines = ["| what | against | reach | reached | | medians (quartiles) | n |", "|---|---|---|---|---|---|---|"]
    lines += [_line(row, results[key]) for key, row in ROWS.items()]
    return "\n".join(lines)


def render_report(results: Mapping[str, Result], machine: Sequence[str], commands: Sequence[str], note: str) -> str:
    """Return the whole report; `machine` and `commands` are lines, `note` describes the conditions of the run."""
    missed = dict.fromkeys(ROWS[key].what for key, result in results.items() if not is_met(ROWS[key], result))
    verdict = f"Missed: {'; '.join(missed)}." if missed else "Every figure is reached."
    terms = [f"* {row.what}: {row.terms}" for row in ROWS.values()]
    parts = (
        "# Speed of the launcher",
        "Written by `scripts/bench`; ratios of medians, both sides measured in turns within one run.",
        render_table(results),
        f"{verdict} {note}",
        "## What is counted",
        "\n".join(terms),
        "## The machine",
        "\n".join(f"* {line}" for line in machine),
        "## To repeat it",
        "\n".join(f"    {command}" for command in commands),
    )
    return "\n\n".join(parts) + "\n"


def _line(row: Row, result: Result) -> str:
    mark = "" if is_met(row, result) else "**missed**"
    reach, reached = f"<= {row.limit:g} {row.unit}", f"{result.reached:.3g} {row.unit}"
    return f"| {row.what} | {row.against} | {reach} | {reached} | {mark} | {result.medians} | {result.n} |"
