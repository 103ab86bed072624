"""Runs a program on a terminal, and draws its output as SVG."""

import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_SVG = "{http://www.w3.org/2000/svg}"
_ROWS = 50
_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px; }}
    .{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}" /></clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">{matrix}</g>
    </g>
</svg>
"""
"""A template for rich's Console.export_svg, which describes its fields; rich's own template loads fonts from a server."""


class Shown(NamedTuple):
    """The exit code of a program on a terminal, and the lines left on it, with colours as escape sequences."""

    code: int
    text: str


def show(command: Sequence[str], env: Mapping[str, str], columns: int) -> Shown:
    """Run a program on a terminal with this many columns, in the root directory, without input."""
    pid, controller = pty.fork()
    if pid == 0:
        _become(command, env, columns)
    printed = b""
    while data := _read(controller):
        printed += data
    os.close(controller)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Shown(code, "\n".join(map(_remaining, printed.decode().split("\n"))))


def draw_svg(text: str, title: str, columns: int) -> str:
    """Draw lines with colours as a terminal window. The SVG loads no fonts, and its description is the plain text."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    shown = Text.from_ansi(text.removesuffix("\n"))
    console.print(shown, "", sep="\n", soft_wrap=True)
    drawn = console.export_svg(title=title, theme=MONOKAI, code_format=_FORMAT, unique_id="terminal")
    head, tag, rest = drawn.partition("<style>")
    return f"{head}<desc>{escape(shown.plain)}\n</desc>\n    {tag}{rest}"


def text_of(svg: str) -> str:
    """Return the plain text of a drawing."""
    return ET.fromstring(svg).findtext(f"{_SVG}desc", "")  # noqa: S314 - a file of this repository


def plain(text: str) -> str:
    """Return lines without their colours."""
    return Text.from_ansi(text.removesuffix("\n")).plain + "\n"


def _become(command: Sequence[str], env: Mapping[str, str], columns: int) -> None:
    try:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        os.chdir(Path("/"))
        os.execve(command[0], list(command), {**env, "TERM": "xterm-256color"})  # noqa: S606 - no shell, on purpose
    finally:
        os._exit(127)


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 4096)
    except OSError:  # Linux reports a closed terminal as an error
        return b""


def _remaining(line: str) -> str:
    """Return what is left of a line after carriage returns, with which programs overwrite their progress."""
    return line.rstrip("\r").rpartition("\r")[2].removeprefix("\x1b[K")
