"""A whole machine under QEMU: a kernel of its own, no network card, nothing of this host but the bottle.

Sources: qemu(1). Its parts reach the guest as disks, what it says comes out of virtio-serial ports into files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib.target import Target
from stigmer_packaging.verify.guest import run_guest
from stigmer_packaging.verify.guest_boot import Boot

PROBE_SECONDS = 6
"""How long a machine that truly has KVM may take to say that it lives; it takes less than one."""

PORTS = ("report", "errors", "marks")
"""What a guest writes: the script's report, what it said besides, and what the machine itself did when."""

_MEMORY_MB = 3072
_KINDS = {
    "amd64": ("qemu-system-x86_64", ("-machine", "pc"), "ttyS0"),
    "arm64": ("qemu-system-aarch64", ("-machine", "virt"), "ttyAMA0"),
}
_CPUS = {
    ("amd64", "tcg"): "max,cx16=off",
    ("amd64", "kvm"): "host",
    ("arm64", "tcg"): "cortex-a72",
    ("arm64", "kvm"): "host",
}
"""What the emulated processors are.

Without cmpxchg16b, whose flags QEMU 7.2 computes with garbage in the upper bits: an interrupt right after it ends the
kernel in a double fault, once in some minutes. A Cortex-A72 under emulation, as `max` emulates pointer authentication too and takes twice as long."""


class Hardware(NamedTuple):
    """A machine's architecture (`amd64`, `arm64`), what runs its instructions (`kvm`, `tcg`), and its processors."""

    architecture: str
    accelerator: str
    processors: int


class Ended(NamedTuple):
    """What a machine wrote to each port, its console, and whether it was switched off by its guest in time."""

    ports: Mapping[str, str]
    console: str
    switched_off: bool


def qemu_command(
    hardware: Hardware,
    boot: Boot,
    folder: Path,
    words: str = "",
    *,
    disks: Sequence[Path] = (),
    writable: Path | None = None,
) -> list[str]:
    """Give the command line of a machine whose ports and console are files in `folder`.

    `words` go to the guest with the kernel's command line. `disks` are only read; with a `writable` one, which remembers,
    the machine may reboot. QEMU dies with the thread that starts it, however that dies.
    """
    program, machine, console = _KINDS[hardware.architecture]
    accelerator = "tcg,thread=multi,tb-size=1024" if hardware.accelerator == "tcg" else hardware.accelerator
    kernel = f"console={console} quiet panic={0 if writable else -1} mitigations=off {words}".rstrip()
    command_line = ["setpriv", "--pdeathsig", "KILL", program, *machine, "-accel", accelerator]
    command_line += ["-cpu", _CPUS[hardware.architecture, hardware.accelerator], "-smp", str(hardware.processors)]
    command_line += ["-m", str(_MEMORY_MB), "-display", "none", "-nodefaults", "-no-user-config", "-nic", "none"]
    command_line += [] if writable else ["-no-reboot"]
    command_line += ["-kernel", str(boot.kernel), "-initrd", str(boot.initramfs), "-append", kernel]
    command_line += ["-chardev", f"file,id=console,path={folder}/console", "-serial", "chardev:console"]
    for number, disk in enumerate(disks):
        command_line += ["-drive", f"file={disk},if=none,id=d{number},format=raw,readonly=on"]
        command_line += ["-device", f"virtio-blk-pci,drive=d{number}"]
    if writable:
        command_line += ["-drive", f"file={writable},if=none,id=w,format=raw,cache=unsafe"]
        command_line += ["-device", "virtio-blk-pci,drive=w"]
    command_line += ["-device", "virtio-serial-pci"]
    for name in PORTS:
        command_line += ["-chardev", f"file,id={name},path={folder}/{name}"]
        command_line += ["-device", f"virtserialport,chardev={name},name={name}"]
    return command_line


def run_machine(command_line: list[str], folder: Path, *, seconds: float) -> Ended:
    """Run a machine until its guest switches it off; after `seconds` it is killed."""
    ran = run_guest(command_line, seconds=seconds)
    ports = {name: _read(folder / name) for name in PORTS}
    return Ended(ports, _read(folder / "console") + ran.output + ran.errors, ran.code == 0)


def choose_accelerator(target: Target, host: Target, boot: Boot, folder: Path) -> str:
    """Give `kvm` if a machine boots under it within six seconds, else `tcg`.

    Nothing less shows it: a device file that opens, even a machine that is made, may still never run an instruction.
    """
    if target != host or not Path("/dev/kvm").exists():
        return "tcg"
    probe = qemu_command(Hardware(target.architecture, "kvm", 1), boot, folder, "guest=probe")
    ended = run_machine(probe, folder, seconds=PROBE_SECONDS)
    return "kvm" if ended.ports["marks"].strip() == "alive" else "tcg"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
