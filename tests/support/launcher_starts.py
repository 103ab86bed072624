"""One start's installation as a real process, which prints its result as JSON.

    python launcher_starts.py LIBEXEC HOME METHOD USER

METHOD is the first allowed method (clone, link or copy); USER is the uid to switch to, unless it is 0. The process
begins when its standard input is closed, so that many can begin at once; it writes progress to standard error.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LAUNCHER = Path(__file__).parents[2] / "launcher"


def command(libexec: Path, home: Path, method: str = "clone", user: int = 0) -> list[str]:
    return [sys.executable, __file__, os.fspath(libexec), os.fspath(home), method, str(user)]


def start(
    libexec: Path, home: Path, method: str = "clone", *, user: int = 0, prefix: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Start such a process, which waits for `begin`. `prefix` is a command that runs it."""
    return subprocess.Popen(
        [*prefix, *command(libexec, home, method, user)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begin(process: "subprocess.Popen[str]") -> None:
    """Let a process begin."""
    if process.stdin:
        process.stdin.close()
    process.stdin = None


def outcome(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Let a process run to its end; return its parsed output."""
    stdout, stderr = process.communicate(timeout=60)
    if process.returncode:
        raise AssertionError(f"exit code {process.returncode}: {stderr}")
    result: dict[str, Any] = json.loads(stdout)
    return result


def main(libexec: str, home: str, method: str, user: str) -> dict[str, Any]:
    """Install; return the result."""
    sys.path.insert(0, os.fspath(LAUNCHER))
    from stigmer_launcher.errors import LauncherError
    from stigmer_launcher.install.filecopy import METHODS
    from stigmer_launcher.install.install import install
    from stigmer_launcher.install.payload import read_keg
    from stigmer_launcher.system.places import find_places

    reports: list[str] = []
    methods = {method.__name__: METHODS[number:] for number, method in enumerate(METHODS)}

    def report(text: str) -> None:
        reports.append(text)
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - tests wait for this output

    sys.stdin.read()
    if int(user):
        for name in ("encodings.ascii", "hashlib", "pwd", "shlex"):
            importlib.import_module(name)  # now, as the other user may not be able to read it
        os.setgid(int(user))
        os.setuid(int(user))
    try:
        places = find_places({"STIGMER_HOME": home})
        synced = count_syncs()
        keg = read_keg(libexec)
        changed = install(keg, places, report, methods=methods[method])
    except LauncherError as error:
        return {"error": str(error), "remedy": error.remedy, "reports": reports}
    entry = keg.payload.components[0].entry
    shared = Path(places.bin, entry).samefile(keg.source(entry))
    method = "copy" if synced else "link" if shared else "clone"
    return {"id": keg.id, "method": method, "changed": changed, "reports": reports, "pid": os.getpid()}


def count_syncs() -> list[int]:
    """Return a list that grows with every fsync: only copied files are synced."""
    synced: list[int] = []
    fsync = os.fsync

    def counting(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(descriptor)

    os.fsync = counting  # type: ignore[assignment]
    return synced


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 - the result is what this program is for
