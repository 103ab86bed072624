"""The speed table: every promise has its row, and a report cannot leave one out or hide one that is missed."""

from pathlib import Path

import pytest

from benchmarks.machine import has_python
from benchmarks.table import ROWS, Result, is_met, render_report, render_table

PROMISED = {
    "version": (1.35, "`stigmer --version`, frozen", "`python3 -I -S -c pass`, same Python"),
    "status": (2.5, "`stigmer server status`", "the same"),
    "install": (3.0, "install all components", "a bare loop of `os.link` over the same files"),
    "cold": (
        1.08,
        "first `stigmer server` to all ready, empty home",
        "the four programs started by a 20-line script in the ideal order, polled every 5 ms",
    ),
    "warm": (1.08, "the same, warm", "the same"),
    "stop": (1.05, "stop of an idle stack", "the slowest service's own reaction to SIGTERM"),
    "memory": (15.0, "supervisor at rest, memory", ""),
    "processor": (0.2, "supervisor at rest, processor", ""),
}
MET = {key: Result(row.limit, "1 ms : 1 ms", 3) for key, row in ROWS.items()}


@pytest.mark.parametrize("key", PROMISED)
def test_the_table_has_every_promised_row_with_its_limit(key: str) -> None:
    """A limit is not to be moved where the measurement is."""
    row = ROWS[key]
    assert (row.limit, row.what, row.against) == PROMISED[key]
    assert row.what in render_table(MET)


def test_a_report_without_a_measurement_is_refused() -> None:
    """What is not measured is not reported as if the rest were all."""
    short = {key: result for key, result in MET.items() if key != "warm"}
    with pytest.raises(ValueError, match="warm"):
        render_table(short)


def test_a_miss_is_named_in_its_row_and_in_the_verdict() -> None:
    """A figure beyond its limit is said to be."""
    missed = {**MET, "stop": Result(1.2, "6 ms : 5 ms", 3)}
    assert not is_met(ROWS["stop"], missed["stop"])
    report = render_report(missed, ["2 cores"], ["scripts/bench KEG"], "")
    assert "Missed: stop of an idle stack." in report
    line = next(line for line in report.splitlines() if line.startswith("| stop"))
    assert "1.2 x | **missed**" in line


def test_a_report_that_reaches_everything_says_so_and_how_to_repeat_it() -> None:
    """The limit itself is reached; machine and commands are told."""
    report = render_report(MET, ["2 cores"], ["scripts/bench KEG"], "")
    assert "Every figure is reached." in report
    assert "* 2 cores" in report
    assert "    scripts/bench KEG" in report
    assert "**missed**" not in report


def test_the_bare_interpreter_must_be_the_frozen_one(tmp_path: Path) -> None:
    """Another Python's start is no measure for this one's."""
    library = tmp_path / "libexec" / "launcher" / "lib" / "libpython3.11.so.1.0"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"\x7fELF versions/3.11.7\0 more")
    assert has_python(tmp_path, "3.11.7")
    assert not has_python(tmp_path, "3.12.1")
