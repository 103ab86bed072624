"""One build in the making: its folders, the cross compiler under the names that configure asks for, and the running of steps."""

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
"""For each step; on a busy machine the longest one takes half an hour."""

PLACE = "/build"
"""What the folder of a build is called in all that is kept of it."""

BUILD_MACHINE = "x86_64-build-linux-gnu"
"""What configure is told of this machine, whatever it is: no target is named so, and it runs no program of the target."""

_FLAGS = ("-g0", "-fno-sanitize=all", "-Wno-date-time", "-s")


@dataclass(frozen=True)
class Build:
    """A build below `folder`, which is gone at its end.

    `zig` is the compiler, `zig_cache` keeps what it compiles of its own; `jobs` compilers run at once.
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
        """The folder that is laid out as the prefix is."""
        return self.folder / "outcome"

    def source(self, name: str) -> Path:
        """Give the folder of a source, which is built inside."""
        return self.folder / name

    @property
    def variables(self) -> dict[str, str]:
        """All that a step sees of an environment: nothing of the user's but where programs are."""
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
        """Run one step and give what it printed; CommandError when it fails."""
        return command.run(words, env=self.variables | dict(more or {}), cwd=cwd, seconds=SECONDS).stdout

    def run_all(self, commands: Sequence[Sequence[str | Path]], *, cwd: Path) -> None:
        """Run independent steps, as many at once as there may be."""
        with ThreadPoolExecutor(self.jobs) as runners:
            for done in [runners.submit(self.run, *words, cwd=cwd) for words in commands]:
                done.result()


def prepare_folder(build: Build) -> None:
    """Write the compiler's scripts, and make room for the libraries. PackagingError for a path that make would part."""
    if any(character.isspace() for character in str(build.folder)):
        raise PackagingError(
            f"nothing can be compiled in {build.folder}", "set XDG_CACHE_HOME to a path without spaces"
        )
    for name, text in build.recipe.texts.items():
        file = build.folder / "texts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755 if name.startswith("tools/") else 0o644)
    for name in ("include", "lib"):
        (build.dependencies / name).mkdir(parents=True)


def find_files(folder: Path, patterns: Sequence[str], without: Sequence[str]) -> list[Path]:
    """List the files below a folder by patterns, sorted, relative to it. PackagingError for a pattern that finds none."""
    left_out = set(itertools.chain.from_iterable(folder.glob(pattern) for pattern in without))
    found: list[Path] = []
    for pattern in patterns:
        matching = sorted(set(folder.glob(pattern)) - left_out)
        if not matching:
            raise PackagingError(f"{folder.name} has no file {pattern}", "correct packaging/python/libraries.toml")
        found += [path.relative_to(folder) for path in matching]
    return found


def copy_into(paths: Sequence[Path], folder: Path) -> None:
    """Copy files and folders into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if path.is_dir():
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, folder / path.name)
