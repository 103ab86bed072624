"""packaging/RELEASING.md names tests, errors and variables: those that there are."""

import re
from pathlib import Path

from stigmer_packaging.lib import errors

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "packaging" / "RELEASING.md").read_text(encoding="utf-8")


def test_every_test_it_names_is_there() -> None:
    known = "".join(f"{path.name}\n{path.read_text(encoding='utf-8')}" for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)(?:\.py)?`", TEXT))
    assert named
    assert [name for name in named if name not in known] == []


def test_every_exit_code_it_names_is_one_of_publishing() -> None:
    codes = {error.exit_code for name, error in vars(errors).items() if name.endswith("Error")}
    named = {int(code) for code in re.findall(r"\((\d+)\) \|", TEXT)}
    assert named
    assert named <= codes


def test_every_variable_it_names_is_read() -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "packaging" / "stigmer_packaging" / "cli").glob("*.py")
    )
    named = set(re.findall(r"`((?:GITHUB|TAP)_\w+)`", TEXT))
    assert named
    assert [name for name in named if name not in code] == []
