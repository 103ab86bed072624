"""What a service says about freezing itself is checked whole before anything is built."""

from pathlib import Path

import pytest

from stigmer_packaging.errors import SourceError
from stigmer_packaging.tools.freeze_table import FreezeTable, parse_freeze_table, read_freeze_table
from support.freeze_workshop import SAMPLES, copy_sample


def test_a_table_is_read_with_its_lists() -> None:
    """Also the arguments of the test it offers."""
    table = read_freeze_table(SAMPLES / "freeze-service")
    assert table == FreezeTable("main.py", hidden_imports=("greeter.by_name",), selftest=("--selftest",))


def test_only_the_entry_must_be_there() -> None:
    """A simple service says little."""
    assert parse_freeze_table({"entry": "main.py"}) == FreezeTable("main.py")


def test_every_problem_of_a_table_is_named_at_once() -> None:
    """A misspelt key is not a key that is silently without effect."""
    with pytest.raises(SourceError) as refused:
        parse_freeze_table({"hiddenimports": [], "excludes": "tkinter", "selftest": [1]})
    for problem in (
        "hiddenimports is not a key",
        "entry is missing",
        "excludes is not a list",
        "selftest is not a list",
    ):
        assert problem in str(refused.value)


@pytest.mark.parametrize("name", ["pyproject.toml", "main.py"])
def test_a_project_without_one_of_its_files_is_refused(tmp_path: Path, name: str) -> None:
    """The message names the file."""
    project = copy_sample("freeze-service", tmp_path)
    (project / name).unlink()
    with pytest.raises(SourceError, match=name):
        read_freeze_table(project)


def test_a_project_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    """It is the service's mistake, not a crash of ours."""
    project = copy_sample("freeze-service", tmp_path)
    (project / "pyproject.toml").write_text("[tool.stigmer")
    with pytest.raises(SourceError, match=r"pyproject\.toml"):
        read_freeze_table(project)
