"""The tests that packaging/ACCIDENTS.md names must exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "packaging" / "ACCIDENTS.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


def defined_tests(folder: Path) -> set[str]:
    return {
        node.name
        for path in folder.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def missing_from(rows: list[str], known: set[str]) -> list[str]:
    """Return the tests that the rows name but that do not exist."""
    return [name for row in rows for name in re.findall(r"`(test_\w+)`", row) if name not in known]


def test_every_accident_names_tests_that_exist() -> None:
    assert [int(row.split("|")[1]) for row in ROWS] == list(range(1, 26))
    assert [row for row in ROWS if "`test_" not in row] == []
    assert missing_from(ROWS, defined_tests(ROOT / "tests")) == []


def test_a_missing_test_is_reported() -> None:
    assert missing_from(["| 1 | x | y | `test_that_never_was` |"], {"test_other"}) == ["test_that_never_was"]
