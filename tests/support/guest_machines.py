"""Guests for tests: the real roots, kernels and machines, made once for all runs, and roots with something put back."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from stigmer_packaging.lib import environment
from stigmer_packaging.lib.apt import find_mirror
from stigmer_packaging.lib.errors import PackagingError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.verify.guest import Machine
from stigmer_packaging.verify.guest_boot import Boot
from stigmer_packaging.verify.guest_root import GuestRoot, Recipe, build_root, default_suite
from stigmer_packaging.verify.machines import MachineFactory, find_mirrors
from support.keg_standin import TARGET, quiet

Made = TypeVar("Made")


def shared_root() -> GuestRoot:
    """Give the root that scripts/release uses too, made if need be; skip where it cannot be made."""

    def make(cache: Path) -> GuestRoot:
        mirror = find_mirror()
        return build_root(cache, mirror, Recipe(default_suite(mirror), TARGET), report=quiet)

    return _make_or_skip(("mmdebstrap", "bwrap", "tar"), make)


def _make_or_skip(programs: Sequence[str], make: Callable[[Path], Made]) -> Made:
    """Give what is made in the cache that all runs share; skip where a program is missing or it cannot be made."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"no guest on this machine: {', '.join(missing)} is missing")
    try:
        return make(environment.cache_root(os.environ, Path.home()))
    except PackagingError as error:
        pytest.skip(f"no guest on this machine: {str(error).splitlines()[0]}")


def copy_of(root: GuestRoot, place: Path) -> GuestRoot:
    """Copy a root by hard links, so that files can be added or replaced (never written in place)."""

    def link(source: str, goal: str) -> None:
        try:
            os.link(source, goal, follow_symlinks=False)
        except OSError:
            shutil.copy2(source, goal, follow_symlinks=False)

    shutil.copytree(root.path, place, symlinks=True, copy_function=link)
    return root._replace(path=place, name=f"{root.name}, changed", recipe=f"{root.recipe} {place}")


def replace_text(path: Path, text: str) -> None:
    """Give a file another content without touching the one it is a hard link to."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def shared_machine() -> Machine:
    return _make(MachineFactory.virtual_machine)


def shared_boot() -> Boot:
    return _make(MachineFactory.boot)[0]


def service_machine() -> Machine:
    return _make(MachineFactory.service_machine)


def _make(make: Callable[[MachineFactory, str, Target], Made]) -> Made:
    def made(cache: Path) -> Made:
        maker = MachineFactory(TARGET, 2, cache, find_mirrors({}), quiet)
        return make(maker, maker.default_guest(), TARGET)

    return _make_or_skip(("qemu-system-x86_64", "mksquashfs", "cpio", "mmdebstrap", "setpriv"), made)
