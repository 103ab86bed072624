"""A bottle's trial in a virtual machine: the root boots, the bottle is poured in the guest, the script reports."""

import gzip
import shlex
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.errors import ArchiveError
from stigmer_packaging.records import Check
from stigmer_packaging.tools import digest
from stigmer_packaging.tools.guest import PREFIX, GuestRun, Trial
from stigmer_packaging.tools.guest_boot import TEMPLATES, Boot, pack_initramfs, squash_root
from stigmer_packaging.tools.guest_root import UID, USER, GuestRoot
from stigmer_packaging.tools.qemu import Disks, Hardware, concatenate, qemu_command, run_machine

_BLOCK = 1 << 20
_SECTOR = 512


class VirtualMachine(NamedTuple):
    """A machine that boots `boot`, with `root` as its root file system: all that is written is forgotten."""

    root: GuestRoot
    boot: Boot
    hardware: Hardware

    @property
    def level(self) -> str:
        """The level's name."""
        return "vm"

    @property
    def name(self) -> str:
        """The root's name, and the kernel."""
        return f"{self.root.name}, Linux {self.boot.version}"

    @property
    def target(self) -> str:
        """The platform of the root's programs."""
        return self.root.target

    @property
    def recipe(self) -> str:
        """The hash of root, kernel, and what the guest does first; not of what runs its instructions."""
        return digest.sha256_of_value(self.root.recipe, self.boot.recipe, _read("trial.sh"))

    def run(self, trial: Trial, folder: Path) -> GuestRun:
        """Boot, have the guest run the script on the bottle as its user, and read what came out of its ports."""
        disk = folder / "bottle.tar"
        unpack_disk(trial.bottle, disk)
        pack_trial(trial, folder, ("/bin/sh", "/run/trial/trial.sh"))
        concatenate((self.boot.initramfs, folder / "trial.cpio"), folder / "initramfs")
        disks = Disks(self.boot.kernel, folder / "initramfs", (squash_root(self.root), disk))
        ended = run_machine(qemu_command(self.hardware, disks, folder), folder, seconds=trial.task.seconds)
        code, steps = read_marks(ended.ports["marks"], self.hardware.accelerator)
        errors = f"{ended.ports['errors']}\n--- console\n{ended.console}"
        return GuestRun(code if ended.switched_off else None, ended.ports["report"], errors, steps)


def unpack_disk(bottle: Path, disk: Path) -> None:
    """Write a bottle's tar as a disk, so that the slow machine need not decompress it; ArchiveError when it is damaged."""
    try:
        with gzip.open(bottle) as packed, disk.open("wb") as plain:
            shutil.copyfileobj(packed, plain, _BLOCK)
            plain.truncate(-(-plain.tell() // _SECTOR) * _SECTOR)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ArchiveError(f"{bottle.name} is damaged: {error}") from error


def pack_trial(trial: Trial, folder: Path, first_program: tuple[str, ...]) -> None:
    """Write `trial.cpio`: the scripts, and what the guest must know."""
    tree = folder / "tree" / "trial"
    tree.mkdir(parents=True)
    for script in trial.task.scripts:
        shutil.copyfile(script, tree / script.name)
    facts = {"user": USER, "uid": str(UID), "prefix": PREFIX}
    words = trial.words(f"/run/trial/{trial.task.script.name}", bottle="/dev/vdb")
    texts = {
        "trial.sh": _read("trial.sh"),
        "facts": _assignments(facts),
        "command": f"exec {shlex.join(words)}\n",
        "first-program": " ".join(first_program),
    }
    for name, text in texts.items():
        (tree / name).write_text(text, encoding="utf-8")
    pack_initramfs(tree.parent, folder / "trial.cpio")


def read_marks(text: str, accelerator: str) -> tuple[int | None, tuple[Check, ...]]:
    """Read what the machine did and when: lines of `SECONDS STEP DETAIL`, seconds since it was switched on.

    Give the script's exit code, none when it did not end, and as a check that the machine booted.
    """
    marks = {words[1]: (float(words[0]), words[2:]) for words in map(str.split, text.splitlines()) if len(words) > 1}
    seconds, seen = marks.get("boot", (0.0, ["it did not say so"]))
    _, code = marks.get("exit", (0.0, [""]))
    booted = Check("the machine boots", "boot" in marks, seconds, " ".join([*seen, accelerator]))
    return int(code[0]) if code[:1] and code[0].isdigit() else None, (booted,)


def _assignments(facts: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in facts.items())


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
