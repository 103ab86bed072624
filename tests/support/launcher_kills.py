"""Kill a start with SIGKILL at every point of its work, and check that the next start repairs everything.

    python launcher_kills.py SCENARIO METHOD GRAIN DIRECTORY [sabotage]

GRAIN is `call` (every system call that changes a file's name or opens one for writing) or `line` (every executed line
of the launcher). The program forks at each point, so it must be a process without threads. It prints the number of
points. With `sabotage` the launcher does not clean up after a killed start; the checks must detect that.
"""

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("launcher", "packaging", "tests")]

from stigmer_launcher.install import manifest, payload, versions  # noqa: E402 - the path comes first
from stigmer_launcher.system.places import Places, find_places  # noqa: E402
from support.installing import COPY, LINK, Installed, assert_intact, names_in, put  # noqa: E402
from support.launcher_payloads import build_libexec, part  # noqa: E402

LIBRARY = str(ROOT / "launcher")
CHANGES = {f"os.{name}" for name in ("chmod", "link", "mkdir", "remove", "rename", "rmdir", "symlink", "truncate")}


class Scene:
    """Two kegs, a home in the initial state of a scenario, and the start that is killed."""

    def __init__(self, directory: Path, scenario: str, method: str) -> None:
        runner = part("agent-runner", extra={"agent-runner.lib/one.so": b"one"})
        self.old = build_libexec(directory / "old", (part("temporal"), runner), version="1.0.0")
        self.new = build_libexec(directory / "new", (part("temporal", script="exit 7"), runner), version="1.1.0")
        self.places = find_places({"STIGMER_HOME": str(directory / "home")})
        self.scenario, self.methods = scenario, {"link": LINK, "copy": COPY}[method]
        self.in_use = (payload.read_keg(str(self.old)).id,) if scenario == "upgrade-in-use" else ()

    def prepare(self) -> None:
        """Put the home into the initial state of the scenario."""
        shutil.rmtree(self.places.home, ignore_errors=True)
        Path(self.places.home).mkdir()
        Path(self.places.home, "stigmer.db").write_text("precious")
        if self.scenario == "former":
            Path(self.places.bin).mkdir()
            Path(self.places.bin, "temporal").write_text("downloaded")
        if self.scenario.startswith("upgrade"):
            self.start(self.old)
        if self.scenario == "heal":
            self.start(self.new)
            Path(self.places.bin, "temporal").unlink()
            Path(self.places.bin, "agent-runner.lib/one.so").unlink()
        if self.scenario == "no-manifest":
            self.start(self.new)
            Path(self.places.bin, ".manifest").unlink()
            Path(self.places.bin, "temporal").unlink()

    def start(self, keg: Path) -> Installed:
        """Install one keg as a start does."""
        return put(keg, self.places, in_use=lambda: self.in_use, methods=self.methods)

    def check(self) -> None:
        """Start again, and check everything a user may rely on."""
        self.start(self.new)
        assert_intact(self.new, self.places)
        assert not self.start(self.new).changed
        assert Path(self.places.home, "stigmer.db").read_text() == "precious"
        kept = Path(self.places.home).glob("*before*/temporal")
        assert [path.read_text() for path in kept] == (["downloaded"] if self.scenario == "former" else [])
        assert names_in(self.places.versions) == sorted((payload.read_keg(str(self.new)).id, *self.in_use))
        if self.in_use:
            old = payload.read_keg(str(self.old))
            for entry in payload.files_of(old.payload):
                assert manifest.flaw(f"{self.places.versions}/{old.id}/{entry.path}", entry) == ""


class Killer:
    """Kills this process after `number` points: system calls, or lines of the launcher."""

    def __init__(self, number: int) -> None:
        self.left = number

    def count(self) -> None:
        """Count one point, or kill the process."""
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count a system call that is about to change a file (an audit hook)."""
        if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            self.count()

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """Count a line of the launcher (a trace function)."""
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            self.count()
        return self.trace


def killed_at(scene: Scene, number: int, grain: str) -> bool:
    """Start in a child that dies at a point; return False if the start completed before that point."""
    child = os.fork()
    if child == 0:
        killer = Killer(number)
        if grain == "line":
            sys.settrace(killer.trace)
        else:
            sys.addaudithook(killer.audit)
        scene.start(scene.new)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def leave(places: Places) -> None:
    """Do nothing, in place of `remove_unfinished`."""


def main(scenario: str, method: str, grain: str, directory: str, sabotage: str = "") -> int:
    """Kill at one point after another until a start completes; return the number of points."""
    if sabotage:
        versions.remove_unfinished = leave
    scene = Scene(Path(directory), scenario, method)
    number, killed = 0, True
    while killed:
        scene.prepare()
        killed = killed_at(scene, number, grain)
        try:
            scene.check()
        except BaseException:
            print(f"after point {number} ({grain})", file=sys.stderr)  # noqa: T201
            raise
        number += 1
    return number - 1


if __name__ == "__main__":
    print(main(*sys.argv[1:]))  # noqa: T201 - the result is what this program is for
