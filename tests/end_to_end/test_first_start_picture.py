"""The picture of a first start shows the current output of the launcher, run with the reference stack on a terminal."""

from pathlib import Path

import pytest

from documents.pictures import first_start, terminal
from documents.pictures.errors import PictureError
from support.launcher_services import Stigmer, stigmer
from support.reference_stack import reference_launcher

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "first-start.svg"


def recorded(launcher: Stigmer) -> str:
    home = launcher.home.parent / "you"
    launcher.home = home / ".stigmer"
    with launcher:
        return first_start.record(launcher.program, home, launcher.environment)


@pytest.mark.timeout(1800)  # the reference stack may have to be built first
def test_the_picture_is_what_the_launcher_prints_today(tmp_path: Path) -> None:
    launcher = reference_launcher(tmp_path)
    assert first_start.differences(PICTURE.read_text(encoding="utf-8"), recorded(launcher)) == ()


def test_a_line_that_has_changed_is_named_both_as_it_was_and_as_it_is() -> None:
    picture = first_start.draw("$ stigmer server\nAll services running\n  server 127.0.0.1:1\n")
    now = "$ stigmer server\n\x1b[1mEverything runs\x1b[0m\n  server   127.0.0.1:23\n"
    assert first_start.differences(picture, now) == ("- All services running", "+ Everything runs")


def test_progress_that_is_overwritten_is_not_in_a_recording(tmp_path: Path) -> None:
    shown = recorded(stigmer(tmp_path))
    assert "Starting temporal... \x1b[32m✓" in shown
    assert "Starting temporal...\n" not in shown
    assert "/home/you/.stigmer/logs" in shown
    assert str(tmp_path / "you") not in shown


def test_a_failed_start_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="names /nothing"):
        recorded(stigmer(tmp_path, STIGMER_TEMPORAL_BIN="/nothing"))


def test_a_drawing_loads_nothing_and_keeps_its_text() -> None:
    svg = terminal.draw_svg("$ \x1b[1ma <b> & c\x1b[0m\n", "A title", 40)
    assert terminal.text_of(svg) == "$ a <b> & c\n"
    assert "url(http" not in svg
    assert "A&#160;title" in svg
