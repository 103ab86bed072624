"""One start's materialising as a real process: run as a program, it prints what came of it as JSON.

    python launcher_starts.py LIBEXEC HOME [METHOD]

METHOD is the first method allowed (clone, link or copy). It begins when its standard input ends, so that many can
begin at once.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).parents[2] / "launcher"


def start(libexec: Path, home: Path, method: str = "clone", *, prefix: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Begin such a process; it waits until its standard input is closed. `prefix` is a command that runs it."""
    return subprocess.Popen(
        [*prefix, sys.executable, __file__, os.fspath(libexec), os.fspath(home), method],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def outcome(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Let a process go on to its end, and give what it printed."""
    printed, _ = process.communicate(timeout=60)
    if process.returncode:
        raise AssertionError(f"it ended with {process.returncode}")
    found: dict[str, Any] = json.loads(printed)
    return found


def main(libexec: str, home: str, method: str) -> dict[str, Any]:
    """Materialise, and give what came of it."""
    sys.path.insert(0, os.fspath(LAUNCHER))
    from stigmer_launcher.clone import starting_with
    from stigmer_launcher.errors import LauncherError
    from stigmer_launcher.materialise import materialise
    from stigmer_launcher.places import find_places

    told: list[str] = []
    sys.stdin.read()
    try:
        places = find_places({"STIGMER_HOME": home})
        installed = materialise(libexec, places, told.append, methods=starting_with(method))
    except LauncherError as error:
        return {"error": str(error), "remedy": error.remedy, "told": told}
    return {"id": installed.id, "method": installed.method, "made": installed.made, "told": told, "pid": os.getpid()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 - the result is what this program is for
