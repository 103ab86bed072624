"""The picture of a first start: the output of a program in an empty home, and its comparison with an earlier one."""

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
    """Run the commands of a first start, stop the server, and return their output with SHOWN_HOME in place of `home`."""
    variables = {**env, "HOME": str(home), "STIGMER_HOME": str(home / ".stigmer")}
    try:
        shown = "\n".join(_typed(command, program, variables) for command in COMMANDS)
    finally:
        _run(STOP, program, variables)
    return shown.replace(str(home), SHOWN_HOME)


def draw(recorded: str) -> str:
    """Return the recorded output as SVG."""
    return terminal.draw_svg(recorded, "A first start", COLUMNS)


def differences(svg: str, recorded: str) -> tuple[str, ...]:
    """Return the lines that only the drawing or only the recording has; numbers and the order of services may differ."""
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
