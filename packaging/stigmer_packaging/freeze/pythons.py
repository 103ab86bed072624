"""Which Python freezes: the pinned one, compiled for each target, or a Python of this machine for its own platform."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from stigmer_packaging.freeze.foreign import choose_pinned
from stigmer_packaging.freeze.pyinstaller import FreezingPython
from stigmer_packaging.freeze.python.provide import BuildSettings, place_of
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.freeze.virtualenv import at_hand
from stigmer_packaging.lib.debian import find_archives
from stigmer_packaging.lib.interpreter import read_interpreter
from stigmer_packaging.lib.target import Target

PINNED, HOST = "pinned", "host"
RECIPES = Path("packaging/python")


def default_choice(host: Target) -> str:
    """Freeze with the pinned Python on Linux, where it can be made; elsewhere with the Python that runs us."""
    return PINNED if host.system == "linux" else HOST


def own_folders(choice: str) -> tuple[str, ...]:
    """Name the folders of a Python of this machine, which what it freezes may name; the pinned one's is on no machine."""
    if choice == PINNED:
        return ()
    return (sys.base_prefix if choice == HOST else str(Path(choice).resolve().parents[1]),)


def is_in_cache(checkout: Path, target: Target, cache: Path) -> bool:
    """Tell whether the pinned Python for a target was made before."""
    return place_of(read_recipe(checkout / RECIPES, target), cache).is_dir()


def open_maker(
    checkout: Path, host: Target, cache: Path, *, mirror: str, env: Mapping[str, str], report: Callable[[str], None]
) -> BuildSettings:
    """Give what this machine brings to making the pinned Python; `mirror` is a Debian mirror's URL, empty for apt's own."""
    recipe = read_recipe(checkout / RECIPES, host)
    return BuildSettings(
        recipe,
        cache,
        lambda: find_archives(mirror, os.environ),
        env,
        os.cpu_count() or 1,
        report,
    )


def choose_python(
    choice: str,
    target: Target,
    maker: Callable[[], BuildSettings],
    checkout: Path,
    *,
    oldest: Mapping[str, str],
    env: Mapping[str, str],
) -> FreezingPython:
    """Give the Python that freezes for `target`: `pinned`, `host` or a path. It is made when it is first needed.

    `oldest` names for each target the glibc or macOS that wheels may ask for. RecordError when the recipe has problems;
    MissingToolError when a path is no Python.
    """
    if choice != PINNED:
        return at_hand(read_interpreter(sys.executable if choice == HOST else choice, env=env))
    return choose_pinned(checkout / RECIPES, target, maker(), oldest=oldest)
