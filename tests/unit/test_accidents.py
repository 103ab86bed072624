"""packaging/ACCIDENTS.md names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "packaging" / "ACCIDENTS.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+ \|", line)
]


def names_of_tests(folder: Path) -> set[str]:
    return {
        node.name
        for path in folder.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def missing_from(rows: list[str], known: set[str]) -> list[str]:
    """List what the rows name and nobody has written."""
    return [name for row in rows for name in re.findall(r"`(test_\w+)`", row) if name not in known]


def test_every_accident_has_its_tests_and_each_of_them_exists() -> None:
    assert [int(row.split("|")[1]) for row in ROWS] == list(range(1, 26))
    assert [row for row in ROWS if "`test_" not in row] == []
    assert missing_from(ROWS, names_of_tests(ROOT / "tests")) == []


def test_a_test_that_is_gone_is_found() -> None:
    assert missing_from(["| 1 | x | y | `test_that_never_was` |"], {"test_other"}) == ["test_that_never_was"]
