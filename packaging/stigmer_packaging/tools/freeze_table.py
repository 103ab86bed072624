"""What a Python service says about freezing itself: `[tool.stigmer.freeze]` of its pyproject.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from stigmer_packaging.errors import SourceError

_REMEDY = "correct [tool.stigmer.freeze] of the service's pyproject.toml"


@dataclass(frozen=True)
class FreezeTable:
    """The table: `entry` is the main script, relative to the project; the lists are PyInstaller's.

    `selftest` are the arguments with which the frozen service proves itself and exits 0; `workflow_test`, those with
    which it runs a workflow on the Temporal server it is told of, and exits 0. Empty when it cannot. `stand_ins` are
    folders of the project whose modules are frozen in place of installed ones of the same name.
    """

    entry: str
    hidden_imports: tuple[str, ...] = ()
    collect_submodules: tuple[str, ...] = ()
    collect_data: tuple[str, ...] = ()
    copy_metadata: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    selftest: tuple[str, ...] = ()
    workflow_test: tuple[str, ...] = ()


def read_freeze_table(project: Path) -> FreezeTable:
    """Read a project's table; SourceError when the project or its table is missing or not as it must be."""
    if not (project / "pyproject.toml").is_file():
        raise SourceError(f"{project} has no pyproject.toml")
    try:
        document = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{project / 'pyproject.toml'}: {error}") from error
    table = parse_freeze_table(document.get("tool", {}).get("stigmer", {}).get("freeze", {}))
    if not (project / table.entry).is_file():
        raise SourceError(f"{project} has no {table.entry}, which its freeze table names as the entry", _REMEDY)
    if absent := [name for name in table.stand_ins if not (project / name).is_dir()]:
        raise SourceError(f"{project} has no folder {' and no '.join(absent)}, where stand-ins should be", _REMEDY)
    return table


def parse_freeze_table(table: Mapping[str, Any]) -> FreezeTable:
    """Check the table's keys and kinds; SourceError names every problem."""
    lists = {field.name for field in fields(FreezeTable)} - {"entry"}
    problems = [f"{key} is not a key we know" for key in sorted(table.keys() - lists - {"entry"})]
    if not isinstance(table.get("entry"), str):
        problems.append("entry is missing: the main script's path")
    wrong = (key for key in sorted(lists & table.keys()) if not _is_words(table[key]))
    problems += [f"{key} is not a list of strings" for key in wrong]
    if problems:
        raise SourceError("[tool.stigmer.freeze]: " + "; ".join(problems), _REMEDY)
    return FreezeTable(table["entry"], **{key: tuple(table[key]) for key in lists & table.keys()})


def _is_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)
