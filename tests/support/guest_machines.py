"""Guests for tests: the real roots, kernels and machines, built once for all runs, and modified copies of roots."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from stigmer_packaging.lib import command, environment
from stigmer_packaging.lib.apt import find_mirror
from stigmer_packaging.lib.errors import PackagingError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.verify.guest_root import GuestRoot, Recipe, build_root, default_suite
from stigmer_packaging.verify.machines import MachineFactory, find_mirrors
from support.keg_standin import TARGET, quiet

Built = TypeVar("Built")


def shared_root() -> GuestRoot:
    """Return the root that scripts/release uses too, built if necessary; skip the test if that is impossible."""

    def make(cache: Path) -> GuestRoot:
        mirror = find_mirror()
        return build_root(cache, mirror, Recipe(default_suite(mirror), TARGET), report=quiet)

    return _make_or_skip(("mmdebstrap", "bwrap", "tar"), make)


def _make_or_skip(programs: Sequence[str], make: Callable[[Path], Built]) -> Built:
    """Return what `make` builds in the shared cache; skip the test if a program is missing or the build fails."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"no guest on this machine: {', '.join(missing)} is missing")
    try:
        return make(environment.cache_root(os.environ, Path.home()))
    except PackagingError as error:
        pytest.skip(f"no guest on this machine: {str(error).splitlines()[0]}")


def copy_of(root: GuestRoot, place: Path) -> GuestRoot:
    """Copy a root by hard links: files may be added or replaced in the copy, but not modified in place."""

    def link(source: str, goal: str) -> None:
        try:
            os.link(source, goal, follow_symlinks=False)
        except OSError:
            shutil.copy2(source, goal, follow_symlinks=False)

    shutil.copytree(root.path, place, symlinks=True, copy_function=link)
    return root._replace(path=place, name=f"{root.name}, changed", recipe=f"{root.recipe} {place}")


def replace_text(path: Path, text: str) -> None:
    """Replace a file by one with other content, without modifying its other hard links."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def await_no_process(naming: str) -> None:
    """Wait until no process has the text in its command line; if one stays, the test fails by its timeout."""
    while naming in command.run(["ps", "-axo", "args="]).stdout:
        time.sleep(0.05)


def shared_machine(make: Callable[[MachineFactory, str, Target], Built]) -> Built:
    """Return a machine from the factory of scripts/verify, built if necessary; skip the test if that is impossible."""

    def build(cache: Path) -> Built:
        factory = MachineFactory(TARGET, 2, cache, find_mirrors({}), quiet)
        return make(factory, factory.default_guest(), TARGET)

    return _make_or_skip(("qemu-system-x86_64", "mksquashfs", "cpio", "mmdebstrap", "setpriv"), build)
