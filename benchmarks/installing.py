"""Measure the installation of a keg's components, and the bare loops it is compared with.

    python -m benchmarks.installing LIBEXEC FOLDER ROUNDS

prints the seconds of each variant as JSON. FOLDER must be on the keg's file system.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.turns import take_turns
from stigmer_launcher.install.filecopy import METHODS, copy, reproduce
from stigmer_launcher.install.install import install
from stigmer_launcher.install.payload import files_of, read_keg
from stigmer_launcher.system.places import find_places


class Installation:
    """Installs one keg's files in three ways, each time into a new directory below `beside`.

    Nothing is removed between the turns: see benchmarks/filesystem.py for the reason.
    """

    def __init__(self, libexec: Path, beside: Path) -> None:
        self._libexec, self._beside = libexec, beside
        self._paths = [entry.path for entry in files_of(read_keg(str(libexec)).payload)]
        self._folders = sorted({str(parent) for path in self._paths for parent in Path(path).parents} - {"."})
        self._turn = 0
        beside.mkdir(exist_ok=True)
        if reproduce(str(libexec / "payload.json"), str(beside / "trial"), 0o600, METHODS)[0] is copy:
            raise BenchmarkError("the components cannot be hard-linked; use a directory on the keg's file system")

    def launcher(self) -> float:
        """Return the seconds that the launcher's own function takes in an empty home."""
        places = find_places({"STIGMER_HOME": str(self._fresh())})
        began = time.perf_counter()
        install(read_keg(str(self._libexec)), places, lambda _: None)
        return time.perf_counter() - began

    def links(self) -> float:
        """Return the seconds of the bare loop over existing directories."""
        bare = self._fresh()
        pairs = self._pairs(bare)
        self._make_folders(bare)
        began = time.perf_counter()
        _link(pairs)
        return time.perf_counter() - began

    def links_and_directories(self) -> float:
        """Return the seconds of the bare loop, including the creation of its directories."""
        bare = self._fresh()
        pairs = self._pairs(bare)
        began = time.perf_counter()
        self._make_folders(bare)
        _link(pairs)
        return time.perf_counter() - began

    def _fresh(self) -> Path:
        self._turn += 1
        return self._beside / str(self._turn)

    def _pairs(self, bare: Path) -> list[tuple[str, str]]:
        return [(f"{self._libexec}/components/{path}", f"{bare}/{path}") for path in self._paths]

    def _make_folders(self, bare: Path) -> None:
        for folder in (str(bare), *(f"{bare}/{each}" for each in self._folders)):
            os.mkdir(folder)  # noqa: PTH102 - the bare loop must not pay for pathlib


def _link(pairs: list[tuple[str, str]]) -> None:
    for source, target in pairs:
        os.link(source, target)


def main(libexec: str, folder: str, rounds: str) -> None:
    """Measure the variants in turns, after one uncounted round that warms up the keg's directories."""
    gc.disable()  # as the launcher does
    installation = Installation(Path(libexec), Path(folder))
    ways = (installation.launcher, installation.links, installation.links_and_directories)
    for way in ways:
        way()
    json.dump([samples.seconds for samples in take_turns(int(rounds), *ways)], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
