"""Measure how long a service takes from its start to its ready line: several ways to run it, in turns, as ratios to the first.

    python -m benchmarks.ready --text 'Worker ready' --rounds 11 'python main.py' 'agent-runner/agent-runner'

Each command gets the environment of this one, and is killed with its process group once it has printed the text.
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
from benchmarks.turns import take_turns

_TIMEOUT = 120  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each command: its ratio to the first, its median with quartiles, and itself."""
    parser = argparse.ArgumentParser(prog="ready", description="Measure services from their start to their ready line.")
    parser.add_argument(
        "commands", nargs="+", help="commands, each one argument; the others are compared with the first"
    )
    parser.add_argument("--text", required=True, help="what the line holds that says a service is ready")
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args(arguments)
    samples = take_turns(
        options.rounds, *(partial(time_to_line, shlex.split(one), options.text) for one in options.commands)
    )
    for command, each in zip(options.commands, samples, strict=True):
        sys.stdout.write(f"{each.median / samples[0].median:.2f} x  {each.spread}  {command}\n")
    return 0


def time_to_line(command: Sequence[str], text: str) -> float:
    """Run a command until it prints a line with the text, and give the seconds; BenchmarkError when it ends before."""
    began = time.perf_counter()
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    timer = threading.Timer(_TIMEOUT, _kill, (service.pid,))
    timer.start()
    seen = []
    with service:
        for line in service.stdout or ():
            seen.append(line)
            if text.encode() in line:
                spent = time.perf_counter() - began
                _kill(service.pid)
                timer.cancel()
                return spent
    timer.cancel()
    tail = b"".join(seen[-10:]).decode(errors="replace")
    raise BenchmarkError(f"{shlex.join(command)} ended before it printed {text!r}:\n{tail}")


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
