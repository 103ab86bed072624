"""The trial of the service in a virtual machine with systemd: start, crash, reboot and stop of the unit in the keg.

It is installed as `brew services start` does. A user's services run without a login only if the user lingers.
"""

from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import digest
from stigmer_packaging.verify.guest import GuestRun, Trial
from stigmer_packaging.verify.guest_boot import Boot
from stigmer_packaging.verify.guest_root import GuestRoot
from stigmer_packaging.verify.qemu import Hardware
from stigmer_packaging.verify.virtual_machine import boot_trial, read_template

PACKAGES = ("systemd-sysv", "systemd", "udev", "dbus", "dbus-user-session", "libpam-systemd")
"""What the root has besides the essential packages."""

_DISK = 4 << 30
"""Bytes of the disk that remembers; sparse."""


class ServiceMachine(NamedTuple):
    """A machine whose first program is systemd, with a disk that outlives a reboot."""

    root: GuestRoot
    boot: Boot
    hardware: Hardware

    @property
    def level(self) -> str:
        """The level's name."""
        return "vm"

    @property
    def name(self) -> str:
        """The root's name, the kernel, and that it is another trial than the usual one."""
        return f"{self.root.name} with systemd, Linux {self.boot.version}"

    @property
    def target(self) -> str:
        """The platform of the root's programs."""
        return self.root.target

    @property
    def recipe(self) -> str:
        """The hash of root, kernel, and the trial, which is not that of verify-install."""
        return digest.sha256_of_value(self.root.recipe, self.boot.recipe, read_template("service-trial"))

    def run(self, trial: Trial, folder: Path) -> GuestRun:
        """Boot, install the service, see it come back after a crash and after a reboot."""
        texts = {
            "trial.sh": read_template("service-trial"),
            "trial.service": read_template("trial.service"),
            "first-program": "/lib/systemd/systemd",
        }
        writable = folder / "writable"
        with writable.open("wb") as disk:
            disk.truncate(_DISK)
        return boot_trial(self, trial, texts, folder, writable)
