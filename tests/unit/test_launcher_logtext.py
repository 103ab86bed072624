"""Lines of a log made readable, in the formats that real services print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.cli.logtext import readable

ZEROLOG = "\033[90m11:00PM\033[0m \033[32mINF\033[0m \033[1mServer started\033[0m \033[36mport=\033[0m7234"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (ZEROLOG, "INF Server started port=7234"),
        ("9:05AM WRN slow", "WRN slow"),
        ("2026-01-21T11:00:00Z ready", "ready"),
        ("2026-01-21T11:00:00.123456+01:00 ready", "ready"),
        ("2026-01-21 11:00:00,123 - agent_runner - INFO - ready", "agent_runner - INFO - ready"),
        ("2026/01/21 11:00:00 INFO  Started Worker Namespace default", "INFO  Started Worker Namespace default"),
        ("2026/01/21 11:00:00.000123 ready", "ready"),
        ('time=2026-01-21T11:00:00.123 level=WARN msg="slow"', 'level=WARN msg="slow"'),
        ('time="2026-01-21T11:00:00Z" level=info', "level=info"),
        ("[2026-01-21 11:00:00] ready", "ready"),
    ],
)
def test_the_time_stamp_of_a_service_is_removed_on_request(printed: str, shown: str) -> None:
    assert readable(printed, stamp=False) == shown
    assert len(readable(printed)) > len(shown)


@pytest.mark.parametrize(
    "printed",
    [
        "at 11:00PM it was ready",
        "2026-01-21 was a Wednesday",
        "11:00 o'clock",
        "127.0.0.1:7233 answers",
        '{"level":"info","time":1769000000,"message":"ready"}',
        "",
    ],
)
def test_text_that_only_resembles_a_time_stamp_is_kept(printed: str) -> None:
    assert readable(printed, stamp=False) == printed


def test_colours_are_kept_on_request_and_reset_at_the_end_of_the_line() -> None:
    assert readable(ZEROLOG, colours=True) == f"{ZEROLOG}\033[0m"
    assert readable(ZEROLOG, colours=True, stamp=False).startswith("\033[90m\033[0m\033[32mINF\033[0m ")
    assert readable("\033[38;2;255;0;0mred and so on", colours=True) == "\033[38;2;255;0;0mred and so on\033[0m"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\033]0;another title\atext", "text"),
        ("\033]8;;https://stigmer.ai\033\\link\033]8;;\033\\", "link"),
        ("\033]0;a title that never ends", "0;a title that never ends"),
        ("\033Pdevice control\033\\text", "text"),
        ("\033[2J\033[1;1Hcleared", "cleared"),
        ("\033[?1049hother screen", "other screen"),
        ("\033[6n\033[>c\033[21task", "ask"),
        ("\033(0lines\033(B", "lines"),
        ("\033cfull reset", "full reset"),
        ("\x9b31mone byte\x9d0;title\x9c", "one byte"),
        ("ab\b\b\x00\x7f\x0b\fcd", "abcd"),
        ("tab\tstays", "tab\tstays"),
        ("cut \033[3", "cut "),
        ("cut \033", "cut "),
        ("10%\r55%\r100%", "100%"),
        ("10%\r100%\r", "100%"),
        ("line of another system\r", "line of another system"),
        ("\r", ""),
        ("\N{ROBOT FACE} ready".encode(), "\N{ROBOT FACE} ready"),
        (b"\xff\xfe half \xf0\x9f", "\\xff\\xfe half \\xf0\\x9f"),
    ],
)
def test_a_line_is_shown_in_its_final_state_without_control_sequences(printed: str | bytes, shown: str) -> None:
    """Only the last state of a progress line is shown, and bytes that are not UTF-8 are escaped, also with colours."""
    assert readable(printed) == shown
    assert readable(printed, colours=True) == shown


def test_the_end_of_a_control_string_is_not_searched_beyond_the_next_control_character() -> None:
    """A line with many unterminated strings was once searched again for each of them, which took minutes."""
    assert readable("\x9dnever ends\x9d0;title\x9c") == "never ends"
    assert readable("\x9d" * 65536) == ""


PIECES = st.sampled_from(
    ["\033[3m", "\033", "[", "]", "0;", "m", "\a", "\\", "\x9b", "P", "\r", "3", "\x85", "a", "\xe9"]
)


@given(st.lists(PIECES).map("".join))
def test_no_control_sequence_reaches_the_terminal(printed: str) -> None:
    """However sequences are nested, cut or doubled: removing one must not form another."""
    assert all(character.isprintable() for character in readable(printed))
    coloured = readable(printed, colours=True)
    assert all(character.isprintable() or character == "\033" for character in coloured)
    assert readable(coloured, colours=True) == coloured
