"""Output for people: plain text, with colours, symbols and transient lines only on terminals that support them."""

import errno
import io
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TextIO

_CODES = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}
PALETTE = ("36", "33", "32", "35", "34", "31")
_ERASE_LINE = "\r\033[K"  # to its first column, then EL ("erase in line") of ECMA-48
_MARKS = {"done": ("✓", "ok"), "failed": ("✗", "failed")}


class Terminal:
    """A stream, and the capabilities of its terminal.

    A command must do its work even when its output cannot be written, so the first failed write is stored in `failure` and
    not raised. A command that only prints may end then. While it is `paused`, nothing is written: a supervisor must not
    wait for a full pipe, or for a terminal that Ctrl-S has paused.
    """

    def __init__(self, stream: TextIO, *, live: bool, colour: bool, unicode: bool) -> None:
        self.stream, self.live, self.colour, self.unicode = stream, live, colour, unicode
        self.failure: OSError | None = None
        self.paused = False

    def line(self, text: str = "") -> None:
        """Print a line and flush it."""
        self.write((_ERASE_LINE if self.live else "") + text + "\n")

    def write(self, text: str) -> None:
        """Write a text as it is, and flush it."""
        try:
            if not self.paused:
                self.stream.write(text)
                self.stream.flush()
        except OSError as error:
            self.failure = self.failure or error

    def write_error(self) -> OSError | None:
        """Return the error of the first failed write; None if its reader or terminal was closed."""
        error = self.failure
        if error is None or isinstance(error, BrokenPipeError):
            return None
        is_terminal = stat.S_ISCHR(os.fstat(self.stream.fileno()).st_mode)
        return None if is_terminal and error.errno in (errno.EIO, errno.ENXIO) else error

    def transient(self, text: str) -> None:
        """Show a line that the next one overwrites; print nothing where that is not possible."""
        if self.live:
            self.write(_ERASE_LINE + text)

    def done(self, text: str) -> None:
        """Print that a step has succeeded, in place of a transient line."""
        self.line(f"{text}... {self.paint(self.mark('done'), 'green')}")

    def paint(self, text: str, colour: str) -> str:
        """Return a text in a colour, by name or SGR number; unchanged where there are no colours."""
        return f"\033[{_CODES.get(colour, colour)}m{text}\033[0m" if self.colour else text

    def mark(self, name: str) -> str:
        """Return the mark `done` or `failed`, as a word where there are no symbols."""
        return _MARKS[name][0 if self.unicode else 1]


def terminal_of(stream: TextIO, environ: Mapping[str, str]) -> Terminal:
    """Detect the capabilities of a stream, and make it escape characters that its encoding lacks instead of failing."""
    if isinstance(stream, io.TextIOWrapper):
        with suppress(OSError):  # it flushes; if that fails, the next write fails too
            stream.reconfigure(errors="backslashreplace")
            os.set_blocking(stream.fileno(), True)  # a program that shares it may have changed that
    live = stream.isatty() and environ.get("TERM", "") not in ("", "dumb")
    encoding = (stream.encoding or "").lower().replace("-", "")
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    is_utf8 = encoding == "utf8" and ("utf" in locale.lower() or os.uname().sysname == "Darwin")
    has_colour = live and not environ.get("NO_COLOR")  # which counts unless it is empty: no-color.org
    return Terminal(stream, live=live, colour=has_colour, unicode=live and is_utf8)


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: `5s`, `2m 3s`, `1h 4m`, `2d 3h`."""
    whole = max(0, int(seconds))
    for unit, size, below, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part}{below}"
    return f"{whole}s"


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Align rows of texts in columns, and return the lines."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["".join(f"  {text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in table]


class Context(NamedTuple):
    """Environment variables, standard output and standard error of a command."""

    environ: Mapping[str, str]
    out: Terminal
    err: Terminal
