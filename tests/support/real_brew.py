"""The Homebrew on PATH, with a home of its own, for tests marked `brew`; they are skipped where it cannot be used."""

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
    """Return the brew on PATH; skip the test if there is none, it refuses to run (as root), or it has the tap."""
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
    """Yield an empty local tap that brew uses in place of GitHub's; afterwards, remove formula and tap from brew."""
    tap = make_local_tap(TAP, folder, brew.env)
    try:
        yield tap
    finally:
        brew.attempt("uninstall", "--force", FULL)
        brew.attempt("untap", TAP)


def copy_checkout(folder: Path) -> None:
    """Copy this checkout without .git and the output of builds and tests."""
    ignored = shutil.ignore_patterns(".git", "build", "dist", "delivered", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True, symlinks=True)
