"""The table of settings in docs/using.md: made from the schema, and not stale."""

from pathlib import Path

from documents.settings import BEGIN, END, insert_settings, render_settings

PAGE = Path(__file__).parents[2] / "docs" / "using.md"


def test_the_page_has_todays_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert insert_settings(page) == page, "run `scripts/record settings`"
    assert render_settings() in page


def test_a_row_says_what_may_be_given_and_what_is_taken_otherwise() -> None:
    rows = render_settings().splitlines()
    assert "| `ports.server` | 1-65535 | `7234` | the port of stigmer-server |" in rows
    assert sum(row.endswith("set STIGMER_HOME to move everything |") for row in rows) == 1


def test_what_is_around_the_table_stays() -> None:
    made = insert_settings(f"before\n{BEGIN}old\n{END}after\n")
    assert made.startswith(f"before\n{BEGIN}\n| key |")
    assert made.endswith(f"\n{END}after\n")
    assert "old" not in made
