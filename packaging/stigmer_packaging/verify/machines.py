"""Which machines a bottle is verified on at each level, and how they are made."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib import apt
from stigmer_packaging.lib.emulation import require_emulation, runner_for
from stigmer_packaging.lib.errors import MissingToolError
from stigmer_packaging.lib.target import Target, is_runnable
from stigmer_packaging.verify import guest_boot, guest_root
from stigmer_packaging.verify.guest import Machine
from stigmer_packaging.verify.qemu import Hardware, choose_accelerator
from stigmer_packaging.verify.sandbox import make_sandbox
from stigmer_packaging.verify.virtual_machine import SYSTEMD, make_virtual_machine

LEVELS = ("sandbox", "vm", "matrix", "brew", "macos")
GUESTS = ("debian bullseye", "debian bookworm", "debian trixie", "debian sid")
"""The matrix, the oldest C library first."""

NOT_GATING = ("debian sid",)
"""Guests whose failure is told and changes no exit code: what they hold tomorrow nobody knows."""


@dataclass(frozen=True)
class MachineFactory:
    """Makes machines on this one, a `host` with `processors`, from the mirrors by distribution, into `cache`."""

    host: Target
    processors: int
    cache: Path
    mirrors: Mapping[str, apt.Mirror]
    report: Callable[[str], None]

    def sandbox(self, guest: str, target: Target) -> Machine:
        """Make a sandbox; MissingToolError for a platform whose programs do not run here."""
        if not is_runnable(target, self.host):
            raise MissingToolError(f"programs for {target} do not run here", "use --machine vm, which emulates")
        runner = runner_for(target, self.host, os.environ)
        require_emulation(runner.prefix, os.environ)
        return make_sandbox(self._root(guest, target), runner)

    def virtual_machine(self, guest: str, target: Target, *, service: bool = False) -> Machine:
        """Make a virtual machine; one of another architecture is emulated. Its kernel is the same for all guests.

        For the trial of the service it has systemd, and cannot be of another architecture.
        """
        boot, hardware = self.boot(guest, target)
        root = self._root(guest, target, SYSTEMD if service else ())
        return make_virtual_machine(root, boot, hardware, service=service)

    def boot(self, guest: str, target: Target) -> tuple[guest_boot.Boot, Hardware]:
        """Give what a virtual machine for the guest boots, and on what."""
        mirror = self._mirror("debian" if "debian" in self.mirrors else guest.split(maxsplit=1)[0])
        boot = guest_boot.build_boot(self.cache, mirror, guest_root.default_suite(mirror), target, report=self.report)
        with tempfile.TemporaryDirectory() as folder:
            accelerator = choose_accelerator(target, self.host, boot, Path(folder))
        return boot, Hardware(target.architecture, accelerator, self.processors)

    def default_guest(self) -> str:
        """Name the guest of the levels that have one."""
        mirror = next(iter(self.mirrors.values()))
        return f"{mirror.distribution} {guest_root.default_suite(mirror)}"

    def _root(self, guest: str, target: Target, packages: tuple[str, ...] = ()) -> guest_root.GuestRoot:
        distribution, suite = guest.split()
        foreign = target.architecture != self.host.architecture
        essential = guest_root.FOREIGN_PACKAGES if foreign else ()
        recipe = guest_root.Recipe(suite, target, (*essential, *packages), unpacked=foreign)
        return guest_root.build_root(self.cache, self._mirror(distribution), recipe, report=self.report)

    def _mirror(self, distribution: str) -> apt.Mirror:
        if distribution not in self.mirrors:
            remedy = f"name one: --mirror {distribution}=URL"
            raise MissingToolError(f"no mirror of {distribution} is known on this machine", remedy)
        return self.mirrors[distribution]


def find_mirrors(named: Mapping[str, str], keyrings: Path = Path("/usr/share/keyrings")) -> dict[str, apt.Mirror]:
    """Give the mirrors by distribution: this machine's own, and those named by their URL.

    MissingToolError when the archive keys of a named distribution are not here.
    """
    if not named:
        own = apt.find_mirror()
        return {own.distribution: own}
    mirrors = {}
    for distribution, uri in named.items():
        keyring = keyrings / f"{distribution}-archive-keyring.gpg"
        if not keyring.is_file():
            remedy = f"install {distribution}-keyring"
            raise MissingToolError(f"the archive keys of {distribution} are not here", remedy)
        mirrors[distribution] = apt.Mirror(uri, distribution, "", str(keyring))
    return mirrors
