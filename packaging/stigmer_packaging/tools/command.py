"""The one place where packaging starts programs: argument lists, an explicit environment, a deadline, no shell."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.errors import CommandError, MissingToolError


@dataclass(frozen=True)
class Completed:
    """How a program ended: its exit code and what it printed, stdout and stderr apart."""

    code: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = 600,
    check: bool = True,
    stdin: str = "",
) -> Completed:
    """Run a program to its end. On failure (with `check`) or after `seconds`, raise CommandError with its last lines.

    The program gets a process group of its own, which is killed whole when the time is over or we are interrupted.
    """
    words = [str(word) for word in command]
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise MissingToolError(f"{words[0]} is not on this machine", f"install {words[0]} and run again") from error
    try:
        stdout, stderr = child.communicate(stdin, timeout=seconds)
    except subprocess.TimeoutExpired:
        stdout, stderr = _kill_group(child)
        raise CommandError(words, f"did not end within {seconds:g} s", stdout + stderr) from None
    except BaseException:
        _kill_group(child)
        raise
    if check and child.returncode != 0:
        raise CommandError(words, f"failed with exit code {child.returncode}", stdout + stderr)
    return Completed(child.returncode, stdout, stderr)


def _kill_group(child: subprocess.Popen[str]) -> tuple[str, str]:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return child.communicate()
