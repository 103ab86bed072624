"""The materialising of a keg's components, and the bare loops it is held against."""

import os
import shutil
import time
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.stack import Stack
from stigmer_launcher.inventory import files_of, read_keg
from stigmer_launcher.materialise import materialise


class Laying:
    """Lays one keg's files, in three ways, each time into a fresh place beside the stack's home."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._bare = stack.home.with_name("bare")
        components = stack.libexec / "components"
        paths = [entry.path for entry in files_of(read_keg(str(stack.libexec)).payload)]
        self._pairs = [(f"{components}/{path}", f"{self._bare}/{path}") for path in paths]
        self._folders = sorted({str(parent) for _, target in self._pairs for parent in Path(target).parents
                                if parent.is_relative_to(self._bare)})  # fmt: skip
        self.files = len(paths)

    def launcher(self) -> float:
        """Give the seconds of the launcher's own function, in an empty home."""
        self._stack.clear()
        places = self._stack.places
        began = time.perf_counter()
        made = materialise(str(self._stack.libexec), places, lambda _: None)
        spent = time.perf_counter() - began
        if not made.made or made.method == "copy":
            raise BenchmarkError(
                f"the components were not linked but: {made.method}; use a directory on the keg's disk"
            )
        return spent

    def links(self) -> float:
        """Give the seconds of the bare loop, its directories made before."""
        self._clear()
        self._make_folders()
        began = time.perf_counter()
        self._link()
        return time.perf_counter() - began

    def links_and_directories(self) -> float:
        """Give the seconds of the bare loop with the making of its directories."""
        self._clear()
        began = time.perf_counter()
        self._make_folders()
        self._link()
        return time.perf_counter() - began

    def _link(self) -> None:
        for source, target in self._pairs:
            os.link(source, target)

    def _make_folders(self) -> None:
        for folder in self._folders:
            os.mkdir(folder)  # noqa: PTH102 - bare is the point

    def _clear(self) -> None:
        if self._bare.exists():
            shutil.rmtree(self._bare)
