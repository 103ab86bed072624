"""The trial of the service in a virtual machine with systemd: start, crash, reboot and stop of the unit in the keg.

It is installed as `brew services start` does. A user's services run without a login only if the user lingers.
"""

from pathlib import Path

from stigmer_packaging.lib import digest
from stigmer_packaging.verify.guest import GuestRun, Machine, Trial
from stigmer_packaging.verify.guest_boot import Boot
from stigmer_packaging.verify.guest_root import GuestRoot
from stigmer_packaging.verify.qemu import Hardware
from stigmer_packaging.verify.virtual_machine import boot_trial, read_template

PACKAGES = ("systemd-sysv", "systemd", "udev", "dbus", "dbus-user-session", "libpam-systemd")
"""What the root has besides the essential packages."""

_DISK = 4 << 30
"""Bytes of the disk that remembers; sparse."""


def make_service_machine(root: GuestRoot, boot: Boot, hardware: Hardware) -> Machine:
    """Give a machine whose first program is systemd, with a disk that outlives a reboot.

    Its trial is not that of verify-install, as name and recipe say.
    """

    def run(trial: Trial, folder: Path) -> GuestRun:
        """Boot, install the service, see it come back after a crash and after a reboot."""
        texts = {
            "trial.sh": read_template("service-trial"),
            "trial.service": read_template("trial.service"),
            "first-program": "/lib/systemd/systemd",
        }
        writable = folder / "writable"
        with writable.open("wb") as disk:
            disk.truncate(_DISK)
        return boot_trial(root, boot, hardware, trial, texts, folder, writable)

    recipe = digest.sha256_of_value(root.recipe, boot.recipe, read_template("service-trial"))
    return Machine("vm", f"{root.name} with systemd, Linux {boot.version}", root.target, recipe, run)
