"""A build: its folders, its environment with the cross compiler under the names that configure uses, and its steps."""

import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.freeze.python.recipe import Recipe
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import PackagingError

SECONDS = 7200
"""Timeout of each step; on a busy machine the longest takes half an hour."""

PLACE = "/build"
"""Replaces the path of the build's folder in every file that is kept."""

BUILD_MACHINE = "x86_64-build-linux-gnu"
"""configure's `--build` on every machine: no target has this name, so that configure runs no program of the target."""

_FLAGS = ("-g0", "-fno-sanitize=all", "-Wno-date-time", "-s")


@dataclass(frozen=True)
class Build:
    """A build below `folder`, which is removed at its end.

    `zig` is the compiler, `zig_cache` keeps the libraries that it compiles for itself; `jobs` compilers run at once.
    """

    recipe: Recipe
    folder: Path
    zig: Path
    zig_cache: Path
    environment: Mapping[str, str]
    jobs: int
    report: Callable[[str], None]

    @property
    def darwin(self) -> bool:
        """Whether the target is macOS."""
        return self.recipe.target.system == "darwin"

    @property
    def dependencies(self) -> Path:
        """The folder of the libraries and their headers."""
        return self.folder / "dependencies"

    @property
    def outcome(self) -> Path:
        """The folder with the contents of the prefix."""
        return self.folder / "outcome"

    def source(self, name: str) -> Path:
        """Return the folder of a source, in which it is also built."""
        return self.folder / name

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment of a step; of the user's variables, it contains only PATH."""
        recipe, platform, texts = self.recipe, self.recipe.platform, self.folder / "texts"
        more = [f"-F{texts}/macos", f"-I{texts}/macos/include"] if self.darwin else []
        paths = [f"-I{self.dependencies}/include", *more, f"-L{self.dependencies}/lib"]
        flags = (*_FLAGS, *platform.flags, f"-ffile-prefix-map={self.folder}={PLACE}")
        return {
            "PATH": f"{texts}/tools:{self.environment.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(recipe.epoch),
            "ZERO_AR_DATE": "1",
            "PYTHONHASHSEED": "0",
            "MACOSX_DEPLOYMENT_TARGET": platform.floor if self.darwin else "",
            "PKG_CONFIG": "/bin/false",
            "CC": "zig-cc",
            "CXX": "zig-cc",
            "AR": "zig-ar",
            "RANLIB": "zig-ranlib",
            "ZIG": str(self.zig),
            "ZIG_TARGET": f"{platform.zig}.{platform.floor}",
            "ZIG_FLAGS": " ".join(flags),
            "ZIG_PATHS": " ".join(paths),
            "ZIG_MULTIARCH": platform.multiarch,
            "ZIG_GLOBAL_CACHE_DIR": str(self.zig_cache),
            "ZIG_LOCAL_CACHE_DIR": str(self.folder / "zig-cache"),
        }

    def run(self, *words: str | Path, cwd: Path, more: Mapping[str, str] | None = None) -> str:
        """Run one step and return its output; CommandError if it fails."""
        return command.run(words, env=self.variables | dict(more or {}), cwd=cwd, seconds=SECONDS).stdout

    def run_all(self, commands: Sequence[Sequence[str | Path]], *, cwd: Path) -> None:
        """Run independent steps, up to `jobs` at once."""
        with ThreadPoolExecutor(self.jobs) as executor:
            for future in [executor.submit(self.run, *words, cwd=cwd) for words in commands]:
                future.result()


def prepare_folder(build: Build) -> None:
    """Write the compiler's scripts, and create the folders of the libraries.

    PackagingError for a path with whitespace, which make would split.
    """
    if any(character.isspace() for character in str(build.folder)):
        raise PackagingError(
            f"cannot compile in {build.folder}: make splits paths at spaces",
            "set XDG_CACHE_HOME to a path without spaces",
        )
    for name, text in build.recipe.texts.items():
        file = build.folder / "texts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755 if name.startswith("tools/") else 0o644)
    for name in ("include", "lib"):
        (build.dependencies / name).mkdir(parents=True)


def find_files(folder: Path, patterns: Sequence[str], without: Sequence[str]) -> list[Path]:
    """Return the files below a folder that match patterns, relative to it, in the order of the patterns.

    Files of one pattern are sorted. PackagingError for a pattern that matches no file.
    """
    excluded = set(itertools.chain.from_iterable(folder.glob(pattern) for pattern in without))
    found: list[Path] = []
    for pattern in patterns:
        matching = sorted(set(folder.glob(pattern)) - excluded)
        if not matching:
            raise PackagingError(f"{folder.name} has no file {pattern}", "correct packaging/python/libraries.toml")
        found += [path.relative_to(folder) for path in matching]
    return found


def copy_into(paths: Sequence[Path], folder: Path) -> None:
    """Copy files and folders into a folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if path.is_dir():
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, folder / path.name)
