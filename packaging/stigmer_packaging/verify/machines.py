"""The machines that a bottle is verified on at each level, and how to make them."""

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
"""The guests of the level `matrix`, those with the oldest glibc first."""

NOT_GATING = ("debian sid",)
"""Guests whose failures are reported without changing the exit code, because their packages change every day."""


@dataclass(frozen=True)
class MachineFactory:
    """Makes machines on this `host`, with its `processors`, mirrors by distribution, and a `cache` for their parts."""

    host: Target
    processors: int
    cache: Path
    mirrors: Mapping[str, apt.Mirror]
    report: Callable[[str], None]

    def sandbox(self, guest: str, target: Target) -> Machine:
        """Return a sandbox; MissingToolError for a platform whose programs cannot run here."""
        if not is_runnable(target, self.host):
            raise MissingToolError(f"programs for {target} do not run here", "emulate them: --level vm or --machine vm")
        runner = runner_for(target, self.host, os.environ)
        require_emulation(runner.prefix, os.environ)
        return make_sandbox(self._root(guest, target), runner)

    def virtual_machine(self, guest: str, target: Target, *, service: bool = False) -> Machine:
        """Return a virtual machine, emulated if its architecture is foreign. All guests boot the same kernel.

        With `service`, the guest has systemd, and its architecture must be this host's.
        """
        boot, hardware = self.boot(guest, target)
        root = self._root(guest, target, SYSTEMD if service else ())
        return make_virtual_machine(root, boot, hardware, service=service)

    def boot(self, guest: str, target: Target) -> tuple[guest_boot.Boot, Hardware]:
        """Return the kernel and initramfs that a virtual machine for the guest boots, and its hardware."""
        mirror = self._mirror("debian" if "debian" in self.mirrors else guest.split(maxsplit=1)[0])
        boot = guest_boot.build_boot(self.cache, mirror, guest_root.default_suite(mirror), target, report=self.report)
        with tempfile.TemporaryDirectory() as folder:
            accelerator = choose_accelerator(target, self.host, boot, Path(folder))
        return boot, Hardware(target.architecture, accelerator, self.processors)

    def default_guest(self) -> str:
        """Return the guest of the levels that have a single one."""
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
            remedy = f"pass one: --mirror {distribution}=URL"
            raise MissingToolError(f"this machine has no mirror of {distribution} configured", remedy)
        return self.mirrors[distribution]


def find_mirrors(named: Mapping[str, str], keyrings: Path = Path("/usr/share/keyrings")) -> dict[str, apt.Mirror]:
    """Return the mirrors by distribution: those given by URL, or else the one that this machine is configured with.

    MissingToolError if the archive keys of a given distribution are not installed.
    """
    if not named:
        own = apt.find_mirror()
        return {own.distribution: own}
    mirrors = {}
    for distribution, uri in named.items():
        keyring = keyrings / f"{distribution}-archive-keyring.gpg"
        if not keyring.is_file():
            remedy = f"install {distribution}-keyring"
            raise MissingToolError(f"the archive keys of {distribution} are not installed", remedy)
        mirrors[distribution] = apt.Mirror(uri, distribution, "", str(keyring))
    return mirrors
