"""The picture of a first start: a program's own output in an empty home, and the comparison with a recorded one."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from documents.pictures import terminal
from documents.pictures.errors import PictureError

COMMANDS = ("stigmer server", "stigmer server status", "stigmer smoke")
STOP = "stigmer server stop"
COLUMNS = 78
SHOWN_HOME = "/home/you"
_VARYING = ((r"exec-\w+", "EXECUTION"), (r"\d+(?:\.\d+)*", "N"), (r"[ \t]+", " "))


def record(program: Sequence[str], home: Path, env: Mapping[str, str]) -> str:
    """Start the server, look at it and call it; it is stopped again. The text names `home` as somebody's own."""
    given = {**env, "HOME": str(home), "STIGMER_HOME": str(home / ".stigmer")}
    try:
        shown = "\n".join(_typed(command, program, given) for command in COMMANDS)
    finally:
        _run(STOP, program, given)
    return shown.replace(str(home), SHOWN_HOME)


def draw(recorded: str) -> str:
    """Draw a recording."""
    return terminal.draw_svg(recorded, "A first start", COLUMNS)


def differences(svg: str, recorded: str) -> tuple[str, ...]:
    """List the lines that only a drawing or only a recording has; numbers and the order of the services may differ."""
    drawn, now = _comparable(terminal.text_of(svg)), _comparable(terminal.plain(recorded))
    gone = [f"- {line}" for line in sorted(drawn - now)]
    return (*gone, *(f"+ {line}" for line in sorted(now - drawn)))


def _typed(command: str, program: Sequence[str], env: Mapping[str, str]) -> str:
    shown = _run(command, program, env)
    if shown.code:
        raise PictureError(f"`{command}` ended with {shown.code}:\n{shown.text}")
    return f"$ \x1b[1m{command}\x1b[0m\n{shown.text}"


def _run(command: str, program: Sequence[str], env: Mapping[str, str]) -> terminal.Shown:
    return terminal.show((*program, *command.split()[1:]), env, COLUMNS)


def _comparable(text: str) -> set[str]:
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return {line.strip() for line in text.splitlines()}
