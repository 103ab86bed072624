"""The speed table has a row for every promise, and a report cannot omit or hide a missed one."""

from pathlib import Path

import pytest

from benchmarks.machine import has_python
from benchmarks.table import ROWS, Result, is_met, render_report, render_table

PROMISED = {
    "version": 1.35,
    "status": 2.5,
    "install": 3.0,
    "cold": 1.08,
    "warm": 1.08,
    "stop": 1.05,
    "memory": 15.0,
    "processor": 0.2,
}
MET = {key: Result(row.limit, "1 ms : 1 ms", 3) for key, row in ROWS.items()}


def test_the_table_has_every_promised_row_with_its_limit() -> None:
    """The limits are repeated here, so that they cannot be relaxed in the benchmark alone."""
    assert {key: ROWS[key].limit for key in PROMISED} == PROMISED
    assert [row.what for row in ROWS.values() if row.what not in render_table(MET)] == []


def test_a_report_without_a_measurement_is_refused() -> None:
    short = {key: result for key, result in MET.items() if key != "warm"}
    with pytest.raises(ValueError, match="warm"):
        render_table(short)


def test_a_missed_limit_is_shown_in_its_row_and_in_the_summary() -> None:
    missed = {**MET, "stop": Result(1.2, "6 ms : 5 ms", 3)}
    assert not is_met(ROWS["stop"], missed["stop"])
    report = render_report(missed, ["2 cores"], ["scripts/bench KEG"], "")
    assert "Missed: stop of an idle stack." in report
    line = next(line for line in report.splitlines() if line.startswith("| stop"))
    assert "1.2 x | **missed**" in line


def test_a_report_without_misses_says_so_and_how_to_repeat_it() -> None:
    report = render_report(MET, ["2 cores"], ["scripts/bench KEG"], "")
    assert "All limits are met." in report
    assert "* 2 cores" in report
    assert "    scripts/bench KEG" in report
    assert "**missed**" not in report


def test_the_reference_interpreter_must_have_the_version_of_the_frozen_one(tmp_path: Path) -> None:
    """The start-up time of another version of Python is not comparable."""
    library = tmp_path / "libexec" / "launcher" / "lib" / "libpython3.11.so.1.0"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"\x7fELF versions/3.11.7\0 more")
    assert has_python(tmp_path, "3.11.7")
    assert not has_python(tmp_path, "3.12.1")


def test_an_operation_that_misses_in_two_rows_is_named_once_in_the_summary() -> None:
    slow = Result(1.2, "6 ms : 5 ms", 3)
    report = render_report({**MET, "stop": slow, "stop-order": slow}, ["2 cores"], ["scripts/bench KEG"], "")
    assert "Missed: stop of an idle stack." in report
