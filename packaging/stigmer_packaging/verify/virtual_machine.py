"""The trial of a bottle in a virtual machine: the root boots, the bottle is poured in the guest, the script reports."""

import gzip
import shlex
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import ArchiveError
from stigmer_packaging.records.model import Check
from stigmer_packaging.verify.guest import PREFIX, REQUIREMENT_FLAGS, GuestRun, Machine, Trial
from stigmer_packaging.verify.guest_boot import TEMPLATES, Boot, pack_initramfs, squash_root
from stigmer_packaging.verify.guest_root import UID, USER, GuestRoot
from stigmer_packaging.verify.qemu import Hardware, qemu_command, run_machine

BOTTLE = "/dev/vdb"
"""The bottle's tar in the guest: its second disk."""

SYSTEMD = ("systemd-sysv", "systemd", "udev", "dbus", "dbus-user-session", "libpam-systemd")
"""Packages that the root has in addition to the essential ones."""

_DISK = 4 << 30
"""Size of the writable disk in bytes; sparse."""
_BLOCK = 1 << 20
_SECTOR = 512


def make_virtual_machine(root: GuestRoot, boot: Boot, hardware: Hardware, *, service: bool = False) -> Machine:
    """Return a machine that boots `boot` with `root` as its root file system; what it writes is discarded.

    With `service`, init is systemd and the writable disk survives reboots: the trial starts, crashes, reboots and stops
    the unit in the keg, installed as `brew services start` does. A user's services run without a login only if the user
    lingers. The recipe is the hash of root, kernel and the guest's first script; it does not depend on the accelerator.
    """
    template = read_template("service-trial" if service else "trial")

    def run(trial: Trial, folder: Path) -> GuestRun:
        writable = None
        if service:
            texts = {"trial.service": read_template("trial.service"), "first-program": "/lib/systemd/systemd"}
            writable = folder / "writable"
            with writable.open("wb") as disk:
                disk.truncate(_DISK)
        else:
            texts = _texts_for_user(trial, hardware)
        return boot_trial(root, boot, hardware, trial, {"trial.sh": template, **texts}, folder, writable)

    recipe = digest.sha256_of_value(root.recipe, boot.recipe, template)
    name = f"{root.name}{' with systemd' if service else ''}, Linux {boot.version}"
    return Machine("vm", name, root.target, recipe, run)


def _texts_for_user(trial: Trial, hardware: Hardware) -> dict[str, str]:
    """Return the files that make the guest run the script on the bottle as its user."""
    flags = (*REQUIREMENT_FLAGS, *(["--slow"] if hardware.accelerator == "tcg" else []))
    argv = trial.command(f"/run/trial/{trial.task.script.name}", flags=flags, bottle=BOTTLE)
    return {
        **{script.name: script.read_text(encoding="utf-8") for script in trial.task.scripts},
        "command": f"exec {shlex.join(argv)}\n",
        "first-program": "/bin/sh /run/trial/trial.sh",
    }


def boot_trial(
    root: GuestRoot,
    boot: Boot,
    hardware: Hardware,
    trial: Trial,
    texts: Mapping[str, str],
    folder: Path,
    writable: Path | None = None,
) -> GuestRun:
    """Boot a machine with the bottle as its second disk and `texts` as files in its /run/trial; return what it reports.

    A `writable` disk keeps its content over a reboot by the guest. An emulated machine that does not boot has not run
    the bottle, so it is started once more.
    """
    disk = folder / "bottle.tar"
    unpack_disk(trial.bottle, disk)
    facts = {"user": USER, "uid": str(UID), "prefix": PREFIX, "name": trial.name, "version": trial.version}
    tree = folder / "tree" / "trial"
    tree.mkdir(parents=True)
    for name, text in {**texts, "facts": _assignments({**facts, "nonce": trial.task.nonce})}.items():
        (tree / name).write_text(text, encoding="utf-8")
    pack_initramfs(tree.parent, folder / "trial.cpio")
    combined = boot._replace(initramfs=folder / "initramfs")  # the kernel takes several archives in a row
    combined.initramfs.write_bytes(boot.initramfs.read_bytes() + (folder / "trial.cpio").read_bytes())
    argv = qemu_command(hardware, combined, folder, disks=(squash_root(root), disk), writable=writable)
    emulated, failed_start = hardware.accelerator == "tcg", ""
    result = run_machine(argv, folder, seconds=trial.task.seconds)
    if emulated and not result.ports["marks"]:
        failed_start = f"--- console of a first start that did not boot\n{result.console}\n"
        result = run_machine(argv, folder, seconds=trial.task.seconds)
    code, steps = read_marks(result.ports["marks"], hardware.accelerator)
    errors = f"{failed_start}{result.ports['errors']}\n--- console\n{result.console}"
    return GuestRun(code if result.switched_off else None, result.ports["report"], errors, steps, emulated)


def unpack_disk(bottle: Path, disk: Path) -> None:
    """Write a bottle's tar as a disk, so that a slow machine need not decompress it; ArchiveError if it is damaged."""
    try:
        with gzip.open(bottle) as packed, disk.open("wb") as plain:
            shutil.copyfileobj(packed, plain, _BLOCK)
            plain.truncate(-(-plain.tell() // _SECTOR) * _SECTOR)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(f"{bottle.name} is damaged: {error}") from error


def read_marks(text: str, accelerator: str) -> tuple[int | None, tuple[Check, ...]]:
    """Parse what the machine did and when: lines of `SECONDS STEP DETAIL`, in seconds since it was powered on.

    Return the script's exit code, None if it did not finish, and a check that the machine booted.
    """
    marks = {words[1]: (float(words[0]), words[2:]) for words in map(str.split, text.splitlines()) if len(words) > 1}
    seconds, detail = marks.get("boot", (0.0, ["no boot mark"]))
    _, code = marks.get("exit", (0.0, [""]))
    booted = Check("the machine boots", "boot" in marks, seconds, " ".join([*detail, accelerator]))
    return int(code[0]) if code[:1] and code[0].isdigit() else None, (booted,)


def _assignments(facts: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in facts.items())


def read_template(name: str) -> str:
    """Return the text of a file for the guest."""
    return (TEMPLATES / name).read_text(encoding="utf-8")
