"""Completions in real shells: lines are typed at bash and zsh on a terminal."""

import contextlib
import os
import pty
import shutil
from pathlib import Path

import pytest

from stigmer_launcher.cli import completion

NAMES = {"SERVICE": ("temporal", "agent-runner"), "NAME=NUMBER": ("server=", "temporal="), "KEY": ("ports.server",)}
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='> '; bind 'set enable-bracketed-paste off'"),
    "zsh": (["zsh", "-f", "-i"], "PS1='> '; autoload -U compinit; compinit -u -D"),
}
_LINE_START, _LINE_END, _CLEAR = "\x01", "\x05", "\x15"  # Ctrl-A, Ctrl-E and Ctrl-U at a shell


def completed(shell: str, typed: str, tmp_path: Path, setup: str = "") -> str:
    """Type a line at a shell with the completions, and return the words that the shell would run, each with a "|"."""
    arguments, preparation = SHELLS[shell]
    if not (program := shutil.which(shell)):
        pytest.skip(f"there is no {shell}")
    script, result = tmp_path / "completions", tmp_path / "line"
    script.write_text(completion.render(shell, NAMES), encoding="utf-8")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(program, arguments, {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TERM": "xterm"})  # noqa: S606 - a shell at a terminal
    shown = f"{typed}{_LINE_START}printf '%s|' {_LINE_END} > {result}"
    os.write(terminal, "\n".join((preparation, f". {script}", setup, shown, "exit", "")).encode())
    with contextlib.suppress(OSError):  # the shell has ended
        while os.read(terminal, 1000):
            pass
    os.close(terminal)
    os.waitpid(pid, 0)
    return result.read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("stigmer server --port ser\t7300", "stigmer|server|--port|server=7300|"),
        ("stigmer server --port=ser\t7300", "stigmer|server|--port=server=7300|"),
        ("stigmer server logs --service=te\t-f", "stigmer|server|logs|--service=temporal|-f|"),
        ("stigmer server logs --service=a\t-f", "stigmer|server|logs|--service=agent-runner|-f|"),
        ("stigmer server logs --since te\t", "stigmer|server|logs|--since|te|"),
        ("stigmer server logs -n 5 te\t-f", "stigmer|server|logs|-n|5|temporal|-f|"),
        ("stigmer server --port=temporal=1 --fo\t", "stigmer|server|--port=temporal=1|--foreground|"),
    ],
)
def test_a_value_is_completed_in_every_notation_of_an_option(
    tmp_path: Path, shell: str, typed: str, expected: str
) -> None:
    """A name that ends in "=" gets no space, as its number follows; other options' values are not service names."""
    assert completed(shell, typed, tmp_path) == expected


@pytest.mark.parametrize(
    "setup", ["IFS=,", "IFS=$'\\n'", "IFS=", "set -u", "set -e", "shopt -s nullglob failglob; set -f"]
)
def test_completion_does_not_depend_on_settings_of_bash(tmp_path: Path, setup: str) -> None:
    """With another IFS, all names were inserted into the line at once."""
    typed = f"stigmer nothing\t{_CLEAR}stigmer server logs te\t-f"
    assert completed("bash", typed, tmp_path, setup) == "stigmer|server|logs|temporal|-f|"
