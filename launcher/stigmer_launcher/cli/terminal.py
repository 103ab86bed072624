"""Output for people: plain text everywhere; colours, symbols and live lines only on terminals that support them."""

import errno
import io
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TextIO

_CODES = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}
PALETTE = ("36", "33", "32", "35", "34", "31")
_MARKS = {"done": ("✓", "ok"), "failed": ("✗", "failed")}


class Terminal:
    """A stream, and what it can show.

    What a command does must not depend on whether somebody reads its progress: a write that fails is kept in `failure`
    instead of raised, where a command that only prints sees that it may end.
    """

    def __init__(self, stream: TextIO, *, live: bool, colour: bool, unicode: bool) -> None:
        self.stream, self.live, self.colour, self.unicode = stream, live, colour, unicode
        self.failure: OSError | None = None

    def line(self, text: str = "") -> None:
        """Print a line, at once."""
        self.text(("\r\033[K" if self.live else "") + text + "\n")

    def text(self, text: str) -> None:
        """Print a text as it is."""
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError as error:
            self.failure = self.failure or error

    def lost(self) -> OSError | None:
        """Return why output is missing; that its reader or terminal has gone is no reason."""
        error = self.failure
        if error is None or isinstance(error, BrokenPipeError):
            return None
        hung_up = error.errno in (errno.EIO, errno.ENXIO)
        return None if hung_up and stat.S_ISCHR(os.fstat(self.stream.fileno()).st_mode) else error

    def passing(self, text: str) -> None:
        """Show a line that the next one overwrites; nothing on a terminal that cannot do that."""
        if self.live:
            self.text(f"\r\033[K{text}")

    def done(self, text: str) -> None:
        """Print that something has succeeded, which a passing line may have announced."""
        self.line(f"{text}... {self.paint(self.mark('done'), 'green')}")

    def paint(self, text: str, colour: str) -> str:
        """Colour a text, where there are colours; by name, or by the number of a terminal's colour."""
        return f"\033[{_CODES.get(colour, colour)}m{text}\033[0m" if self.colour else text

    def mark(self, name: str) -> str:
        """Return a mark, or the word for it."""
        return _MARKS[name][0 if self.unicode else 1]


def terminal_of(stream: TextIO, environ: Mapping[str, str]) -> Terminal:
    """Find out what a stream can show, and let it escape what its encoding lacks instead of failing.

    NO_COLOR (no-color.org) is obeyed whatever its value, unless it is empty.
    """
    if isinstance(stream, io.TextIOWrapper):
        with suppress(OSError):  # it writes what is pending; that this fails is noticed by the next write
            stream.reconfigure(errors="backslashreplace")
    live = stream.isatty() and environ.get("TERM", "") not in ("", "dumb")
    encoding = (stream.encoding or "").lower().replace("-", "")
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    speaks = encoding == "utf8" and ("utf" in locale.lower() or os.uname().sysname == "Darwin")
    return Terminal(stream, live=live, colour=live and not environ.get("NO_COLOR"), unicode=live and speaks)


def duration(seconds: float) -> str:
    """Return a duration as people say it: `5s`, `2m 3s`, `1h 4m`, `2d 3h`."""
    whole = max(0, int(seconds))
    for unit, size, below, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // part}{below}"
    return f"{whole}s"


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Set the texts of each row side by side, and give the lines."""
    held = list(rows)
    widths = [max(map(len, column)) for column in zip(*held, strict=True)]
    return [("".join(f"  {text:<{width}}" for text, width in zip(row, widths, strict=True))).rstrip() for row in held]


class Context(NamedTuple):
    """The environment's variables, and the two streams people read."""

    environ: Mapping[str, str]
    out: Terminal
    err: Terminal
