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
        "An additional figure: the same, printing the table of four services.",
    ),
    "install": Row(
        "install all components",
        "a bare loop of `os.link` over the same files",
        3.0,
        RATIO,
        "The launcher's own function against the loop, both in one process of the Python it is frozen from, "
        "with everything imported. Only our side reads the keg's index, checks the home, takes the lock, inspects each "
        "new file, creates directories, writes the stamp and switches the version. The loop's directories exist "
        "already; on ext4, creating them costs about as much as the links. In the next row both sides create them.",
    ),
    "install-directories": Row(
        "install all components",
        "the loop, including the creation of the directories",
        3.0,
        RATIO,
        "An additional figure.",
    ),
    "cold": Row(
        "first `stigmer server` to all ready, empty home",
        "the four programs started by a 20-line script in the ideal order, polled every 5 ms",
        1.08,
        RATIO,
        "Ours: the whole command, from spawn to exit, with components and configuration. The script: from "
        "the first program's spawn to the last readiness proof, without its own interpreter's start and any "
        "preparation; the programs run directly from the keg, with the same arguments, environment and checks "
        "(benchmarks/programs.py).",
    ),
    "warm": Row("the same, warm", "the same", 1.08, RATIO, "As above, with the databases and components of the previous start."),
    "stop": Row(
        "stop of an idle stack",
        "the time the slowest service takes to exit after SIGTERM",
        1.05,
        RATIO,
        "Ours: the whole command `stigmer server stop`. The other: the services of the script's stack get SIGTERM one "
        "by one in the same order, each after the previous one exited; the longest time from signal to exit counts.",
    ),
    "stop-order": Row(
        "stop of an idle stack",
        "the times its services take to exit, one stop order after the other",
        1.05,
        RATIO,
        "An additional figure: the sum of each stop order's slowest service, the lower bound of a stop in that order.",
    ),
    "memory": Row("supervisor at rest, memory", "", 15.0, MEGABYTES, "Sum of the smaps_rollup of the supervisor and of its watchdog."),
    "processor": Row("supervisor at rest, processor", "", 0.2, PERCENT, "User and system time of both, from /proc/PID/stat."),
}  # fmt: skip


def is_met(row: Row, result: Result) -> bool:
    """Return whether the result is within the row's limit."""
    return result.reached <= row.limit


def render_table(results: Mapping[str, Result]) -> str:
    """Return the table in Markdown; raise ValueError unless there is exactly one result for each row."""
    if results.keys() != ROWS.keys():
        raise ValueError(f"rows and results differ: {sorted(results.keys() ^ ROWS.keys())}")
    lines = ["| what | against | limit | measured | | medians (quartiles) | n |", "|---|---|---|---|---|---|---|"]
    lines += [_line(row, results[key]) for key, row in ROWS.items()]
    return "\n".join(lines)


def render_report(results: Mapping[str, Result], machine: Sequence[str], commands: Sequence[str], note: str) -> str:
    """Return the whole report; `machine` and `commands` are lines, `note` describes the conditions of the run."""
    missed = dict.fromkeys(ROWS[key].what for key, result in results.items() if not is_met(ROWS[key], result))
    verdict = f"Missed: {'; '.join(missed)}." if missed else "All limits are met."
    terms = [f"* {row.what}: {row.terms}" for row in ROWS.values()]
    parts = (
        "# Speed of the launcher",
        "Written by `scripts/bench`: ratios of medians, both sides measured in turns within one run.",
        render_table(results),
        f"{verdict} {note}",
        "## What is measured",
        "\n".join(terms),
        "## Machine",
        "\n".join(f"* {line}" for line in machine),
        "## How to repeat it",
        "\n".join(f"    {command}" for command in commands),
    )
    return "\n\n".join(parts) + "\n"


def _line(row: Row, result: Result) -> str:
    mark = "" if is_met(row, result) else "**missed**"
    limit, reached = f"<= {row.limit:g} {row.unit}", f"{result.reached:.3g} {row.unit}"
    return f"| {row.what} | {row.against} | {limit} | {reached} | {mark} | {result.medians} | {result.n} |"
