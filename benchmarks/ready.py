"""Measure the time from a service's start to its ready line, for several commands in turns, as ratios to the first.

    python -m benchmarks.ready --text 'Worker ready' --rounds 11 'python main.py' 'agent-runner/agent-runner'

Each command inherits the environment; its process group is killed once it has printed the text.
"""

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.errors import BenchmarkError
from benchmarks.turns import parse_rounds, take_turns

_TIMEOUT = 120  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each command: its ratio to the first, its median with quartiles, and the command itself."""
    parser = argparse.ArgumentParser(prog="ready", description="Measure services from their start to their ready line.")
    parser.add_argument("commands", nargs="+", help="commands, one argument each; all are compared with the first")
    parser.add_argument("--text", required=True, help="text of the line by which a service reports that it is ready")
    parser.add_argument("--rounds", type=parse_rounds, default=11)
    options = parser.parse_args(arguments)
    samples = take_turns(
        options.rounds, *(partial(time_to_line, shlex.split(one), options.text) for one in options.commands)
    )
    for command, each in zip(options.commands, samples, strict=True):
        sys.stdout.write(f"{each.median / samples[0].median:.2f} x  {each.spread}  {command}\n")
    return 0


def time_to_line(command: Sequence[str], text: str) -> float:
    """Return the seconds until a command prints a line with the text; raise BenchmarkError if it exits before that."""
    began = time.perf_counter()
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    timer = threading.Timer(_TIMEOUT, _kill, (service.pid,))
    timer.start()
    lines = []
    with service:
        for line in service.stdout or ():
            lines.append(line)
            if text.encode() in line:
                spent = time.perf_counter() - began
                _kill(service.pid)
                timer.cancel()
                return spent
    timer.cancel()
    tail = b"".join(lines[-10:]).decode(errors="replace")
    raise BenchmarkError(f"{shlex.join(command)} ended before it printed {text!r}:\n{tail}")


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
