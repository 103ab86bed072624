"""Virtual machines for tests: the real kernel and root, made once for all runs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from stigmer_packaging.lib.errors import PackagingError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.verify.guest import Machine
from stigmer_packaging.verify.guest_boot import Boot
from stigmer_packaging.verify.machines import MachineFactory, find_mirrors
from support.keg_standin import TARGET, quiet

PROGRAMS = ("qemu-system-x86_64", "mksquashfs", "cpio", "mmdebstrap", "setpriv")


Made = TypeVar("Made")


def shared_machine() -> Machine:
    """Give the machine that scripts/verify uses too, made if need be; skip where it cannot be made."""
    return _make(MachineFactory.virtual_machine)


def shared_boot() -> Boot:
    """Give what that machine boots."""
    return _make(MachineFactory.boot)[0]


def service_machine() -> Machine:
    """Give the one with systemd."""
    return _make(MachineFactory.service_machine)


def _make(make: Callable[[MachineFactory, str, Target], Made]) -> Made:
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"no virtual machine on this machine: {', '.join(missing)} is missing")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stigmer-packaging"
    try:
        maker = MachineFactory(TARGET, 2, cache, find_mirrors({}), quiet)
        return make(maker, maker.default_guest(), TARGET)
    except PackagingError as error:
        pytest.skip(f"no virtual machine on this machine: {str(error).splitlines()[0]}")
