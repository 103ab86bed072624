"""The pages below docs/reference: what the code gives today, with every key, command and error explained."""

from pathlib import Path

import pytest

from documents.commands import ALIASES
from documents.failures import errors_of
from documents.manifest_keys import WHERE, keys_of
from documents.markdown import table
from documents.reference import FOLDER, find_stale, render_reference
from stigmer_launcher.cli.grammar import COMMANDS
from stigmer_launcher.cli.help import usage
from stigmer_packaging.cli.main import main as pipeline
from stigmer_packaging.lib import errors
from stigmer_packaging.manifest.model import Product, WheelSource

PAGES = render_reference()


def test_the_pages_are_what_the_code_gives() -> None:
    assert find_stale(PAGES, FOLDER) == [], "run scripts/docs"


def test_a_page_that_is_changed_missing_or_left_over_is_stale(tmp_path: Path) -> None:
    for name, text in {"same.md": "a", "changed.md": "b", "left.md": "c"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert find_stale({"same.md": "a", "changed.md": "new", "new.md": "d"}, tmp_path) == [
        "changed.md",
        "left.md",
        "new.md",
    ]


@pytest.mark.parametrize("record", WHERE, ids=lambda record: record.__name__)
def test_every_key_of_the_manifest_is_explained(record: type) -> None:
    assert [key.name for key in keys_of(record) if not key.meaning] == []


def test_a_key_has_its_kind_and_its_default() -> None:
    keys = {key.name: key for key in keys_of(Product)}
    assert (keys["name"].kind, keys["name"].default) == ("text", "")
    assert (keys["rebuild"].kind, keys["rebuild"].default) == ("whole number", "`0`")


def test_the_keys_of_a_wheels_pin_are_the_sources_own() -> None:
    assert [key.name for key in keys_of(WheelSource)] == ["distribution", "version", "sha256", "member"]


def test_every_command_has_its_place() -> None:
    commands = PAGES["commands.md"]
    assert [
        command for command in COMMANDS if command.name not in ALIASES and f"`{usage(command)}`" not in commands
    ] == []
    assert [name for name in pipeline.commands if f"`{name}" not in commands] == []


def test_every_exit_code_of_the_pipeline_has_a_row() -> None:
    page = PAGES["exit-codes.md"].partition("scripts/packaging")[2]
    assert [error for error in errors_of(errors) if f"\n| {vars(error).get('exit_code', 1)} |" not in page] == []


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert table(("a",), [("x|y",)]).splitlines()[-1] == "| x\\|y |"
