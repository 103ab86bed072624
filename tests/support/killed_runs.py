"""Kill a release at every change of the file system, resume it, check the workspace, and print the result as JSON.

    python -m support.killed_runs FOLDER

Each run is a forked process that kills itself with SIGKILL just before its Nth change; N increases until a run
completes.
"""

import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from support.fake_stages import fake_release, one_part_and_a_bottle

CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}


def die_before_change(number: int) -> None:
    """Install an audit hook that kills this process just before its Nth change of the file system."""
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child; return its wait status: 0 if it succeeded, 9 if it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must never return into the parent's code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def run(root: Path, text: str, die_before: int = 0) -> None:
    """Run a release whose artefacts contain `text`; if `die_before` is not 0, die just before that change."""
    release = fake_release(root)
    if die_before:
        die_before_change(die_before)
    release.run(one_part_and_a_bottle(text))


def resume_and_look(root: Path) -> None:
    """Run the release again and check everything in the workspace."""
    run(root, "new")
    names = sorted(path.relative_to(root).as_posix() for path in (root / "obtain").rglob("*"))
    assert names == ["obtain/one", "obtain/one/lib", "obtain/one/lib/part", "obtain/one/program"]
    assert (root / "packed/file").read_text(encoding="ascii") == "new one"
    assert not list(root.glob("staging/*"))
    assert fake_release(root).run(one_part_and_a_bottle("new")) == []


def kill_everywhere(folder: Path, *, older: bool) -> dict[str, Any]:
    """Kill and resume a run at each of its changes; with `older`, in a workspace with an older release's results."""
    failures = []
    for number in itertools.count(1):
        root = folder / str(number)
        if older:
            run(root, "old")
        status = in_child(partial(run, root, "new", number))
        if status not in {0, signal.SIGKILL} or in_child(partial(resume_and_look, root)) != 0:
            failures.append(number)
        if status == 0:
            return {"kills": number - 1, "failures": failures}
    raise AssertionError


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    results = {kind: kill_everywhere(folder / kind, older=kind == "older") for kind in ("empty", "older")}
    sys.stdout.write(json.dumps(results))
