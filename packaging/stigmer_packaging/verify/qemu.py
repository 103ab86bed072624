"""A virtual machine under QEMU: a kernel of its own, no network card, and nothing from this host but the bottle.

Sources: qemu(1). Files reach the guest as disks; its output is written to virtio-serial ports, which are files here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib.target import Target
from stigmer_packaging.verify.guest import run_guest
from stigmer_packaging.verify.guest_boot import Boot

PROBE_SECONDS = 6
"""How long to wait for a probe to boot under KVM; with working KVM it takes less than a second."""

PORTS = ("report", "errors", "marks")
"""The guest's output ports: the script's report, its other output, and the timestamped steps of the machine itself."""

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
"""The CPU model for each architecture and accelerator.

cx16 is off because QEMU 7.2 leaves garbage in the upper flag bits after cmpxchg16b: an interrupt right after it causes
a double fault in the kernel, about once every few minutes. The Cortex-A72 is emulated twice as fast as `max`, which
includes pointer authentication.
"""


class Hardware(NamedTuple):
    """A machine's architecture (`amd64`, `arm64`), its accelerator (`kvm`, `tcg`), and its number of processors."""

    architecture: str
    accelerator: str
    processors: int


class MachineResult(NamedTuple):
    """The output of a machine on each port, its console, and whether the guest powered it off in time."""

    ports: Mapping[str, str]
    console: str
    switched_off: bool


def qemu_command(
    hardware: Hardware,
    boot: Boot,
    folder: Path,
    kernel_arguments: str = "",
    *,
    disks: Sequence[Path] = (),
    writable: Path | None = None,
) -> list[str]:
    """Return the command line of a machine whose ports and console are files in `folder`.

    `kernel_arguments` are added to the kernel's command line. `disks` are read-only; with a `writable` disk, which
    keeps its content, the machine may reboot. QEMU is killed if the thread that starts it dies.
    """
    program, machine, console = _KINDS[hardware.architecture]
    accelerator = "tcg,thread=multi,tb-size=1024" if hardware.accelerator == "tcg" else hardware.accelerator
    kernel = f"console={console} quiet panic={0 if writable else -1} mitigations=off {kernel_arguments}".rstrip()
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


def run_machine(command_line: list[str], folder: Path, *, seconds: float) -> MachineResult:
    """Run a machine until the guest powers it off; kill it after `seconds`."""
    result = run_guest(command_line, seconds=seconds)
    ports = {name: _read(folder / name) for name in PORTS}
    return MachineResult(ports, _read(folder / "console") + result.output + result.errors, result.code == 0)


def choose_accelerator(target: Target, host: Target, boot: Boot, folder: Path) -> str:
    """Return `kvm` if a machine boots with it within PROBE_SECONDS, else `tcg`.

    Only booting proves it: /dev/kvm may open, and a machine may even be created, without ever running an instruction.
    """
    if target != host or not Path("/dev/kvm").exists():
        return "tcg"
    probe = qemu_command(Hardware(target.architecture, "kvm", 1), boot, folder, "guest=probe")
    result = run_machine(probe, folder, seconds=PROBE_SECONDS)
    return "kvm" if result.ports["marks"].strip() == "alive" else "tcg"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
