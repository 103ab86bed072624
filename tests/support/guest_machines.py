"""Virtual machines for tests: the real kernel and root, made once for all runs."""

from collections.abc import Callable
from pathlib import Path

from stigmer_packaging.lib.target import Target
from stigmer_packaging.verify.guest import Machine
from stigmer_packaging.verify.guest_boot import Boot
from stigmer_packaging.verify.machines import MachineFactory, find_mirrors
from support.guest_roots import Made, make_or_skip
from support.keg_standin import TARGET, quiet

PROGRAMS = ("qemu-system-x86_64", "mksquashfs", "cpio", "mmdebstrap", "setpriv")


def shared_machine() -> Machine:
    """Give the machine that scripts/verify uses too, made if need be; skip where it cannot be made."""
    return _make(MachineFactory.virtual_machine)


def shared_boot() -> Boot:
    return _make(MachineFactory.boot)[0]


def service_machine() -> Machine:
    return _make(MachineFactory.service_machine)


def _make(make: Callable[[MachineFactory, str, Target], Made]) -> Made:
    def made(cache: Path) -> Made:
        maker = MachineFactory(TARGET, 2, cache, find_mirrors({}), quiet)
        return make(maker, maker.default_guest(), TARGET)

    return make_or_skip(PROGRAMS, made)
