"""Pages generated from the code: the reference, the settings and the manual explain every key, command and error."""

from pathlib import Path

import pytest

from documents.commands import ALIASES
from documents.failures import errors_of
from documents.manifest_keys import WHERE, keys_of
from documents.markdown import table
from documents.reference import ROOT, find_stale, render_all
from documents.settings import render_settings
from stigmer_launcher.cli.grammar import COMMANDS
from stigmer_launcher.cli.help import usage
from stigmer_packaging.cli.main import main as pipeline
from stigmer_packaging.lib import errors

FILES = render_all()


def test_the_generated_pages_are_up_to_date() -> None:
    assert find_stale(FILES, ROOT) == [], "run scripts/docs"


def test_a_page_that_is_changed_missing_or_left_over_is_stale(tmp_path: Path) -> None:
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    for name, text in {"docs/same.md": "a", "changed.1": "b", "docs/reference/left.md": "c"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    stale = find_stale({"docs/same.md": "a", "changed.1": "new", "docs/new.md": "d"}, tmp_path)
    assert stale == ["changed.1", "docs/new.md", "docs/reference/left.md"]


@pytest.mark.parametrize("record", WHERE, ids=lambda record: record.__name__)
def test_every_key_of_the_manifest_is_explained(record: type) -> None:
    assert [key.name for key in keys_of(record) if not key.meaning] == []


def test_a_setting_is_listed_with_its_range_and_its_default() -> None:
    assert "| `ports.server` | 1-65535 | `7234` | port of stigmer-server |" in render_settings().splitlines()


def test_every_command_is_in_the_reference() -> None:
    commands = FILES["docs/reference/commands.md"]
    own = [command for command in COMMANDS if command.name not in ALIASES]
    assert [command for command in own if f"`{usage(command)}`" not in commands] == []
    assert [name for name in pipeline.commands if f"`{name}" not in commands] == []


def test_every_exit_code_of_the_pipeline_has_a_row() -> None:
    page = FILES["docs/reference/exit-codes.md"].partition("scripts/packaging")[2]
    assert [error for error in errors_of(errors) if f"\n| {vars(error).get('exit_code', 1)} |" not in page] == []


def test_a_vertical_bar_in_a_table_cell_is_escaped() -> None:
    assert table(("a",), [("x|y",)]).splitlines()[-1] == "| x\\|y |"
