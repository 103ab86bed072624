"""The Homebrew on PATH for tests marked `brew`: with a home of its own, and a reason where there is none to be had."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import CommandError
from stigmer_packaging.records.release import NAME
from stigmer_packaging.verify.brew.client import Brew, brew_environment
from stigmer_packaging.verify.brew.local_tap import LocalTap, make_local_tap

ROOT = Path(__file__).parents[2]
TAP = "stigmer/tap"
FULL = f"{TAP}/stigmer"
RELEASE = Path(os.environ.get("STIGMER_RELEASE", ROOT / "dist"))


def require_release() -> None:
    if not (RELEASE / NAME).is_file():
        pytest.skip(f"no release was delivered to {RELEASE}")


def require_brew(home: Path) -> Brew:
    """Give the brew on PATH, or skip with the reason why none can be driven: none, root's, or one that has it already."""
    program = shutil.which("brew")
    if program is None:
        pytest.skip("there is no brew on PATH")
    home.mkdir(parents=True, exist_ok=True)
    brew = Brew(Path(program), brew_environment(os.environ, home))
    try:
        taps = brew.run("tap").split()
    except CommandError as error:
        pytest.skip(f"brew refuses: {error.output.strip().splitlines()[0]}")
    if TAP in taps or (Path(brew.ask("--cellar")) / "stigmer").exists():
        pytest.skip(f"this brew has {FULL} or its tap already")
    return brew


@contextmanager
def tapped(brew: Brew, folder: Path) -> Iterator[LocalTap]:
    """Give an empty local tap that brew takes for the one on GitHub; at the end brew has neither tap nor formula."""
    tap = make_local_tap(TAP, folder, brew.env)
    try:
        yield tap
    finally:
        brew.attempt("uninstall", "--force", FULL)
        brew.attempt("untap", TAP)


def copy_checkout(folder: Path) -> None:
    """Copy what of this checkout is committed or would be: everything but what builds and tests leave in it."""
    left = shutil.ignore_patterns(".git", "build", "dist", "delivered", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=left, dirs_exist_ok=True, symlinks=True)
