"""The tests that packaging/ACCIDENTS.md names must exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "packaging" / "ACCIDENTS.md").read_text(encoding="utf-8").splitlines()
ROWS = [line for line in LINES if line.startswith("| ") and "| accident |" not in line]
NUMBERED = [line for line in ROWS if re.match(r"\| \d+ \|", line)]


def defined_tests(folder: Path) -> set[str]:
    """Return the names of all tests, and of the files that contain them."""
    files = sorted(folder.rglob("test_*.py"))
    return {path.name for path in files} | {
        node.name
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def missing_from(rows: list[str], known: set[str]) -> list[str]:
    """Return the tests, and the files of tests, that the rows name but that do not exist."""
    return [name for row in rows for name in re.findall(r"`(test_\w+(?:\.py)?)`", row) if name not in known]


def test_every_accident_names_tests_that_exist() -> None:
    """In both tables: the second one is not numbered."""
    assert [int(row.split("|")[1]) for row in NUMBERED] == list(range(1, 26))
    assert len(ROWS) > len(NUMBERED)
    assert [row for row in ROWS if "`test_" not in row] == []
    assert missing_from(ROWS, defined_tests(ROOT / "tests")) == []


def test_a_missing_test_is_reported() -> None:
    rows = ["| 1 | x | y | `test_that_never_was` |", "| x | y | `test_other` `test_gone.py` |"]
    assert missing_from(rows, {"test_other"}) == ["test_that_never_was", "test_gone.py"]
