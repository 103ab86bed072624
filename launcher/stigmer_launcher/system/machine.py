"""The target (system and architecture) of this machine, and of a program."""

import os
from contextlib import suppress

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# ELF e_machine and Mach-O cputype. Sources: the ELF gABI and <mach/machine.h>.
_ELF = {62: "linux-amd64", 183: "linux-arm64"}
_MACHO = {0x01000007: "darwin-amd64", 0x0100000C: "darwin-arm64"}


def this_target() -> str:
    """Return the target of this machine, for example `linux-amd64`."""
    machine = os.uname().machine.lower()
    return f"{os.uname().sysname.lower()}-{_MACHINES.get(machine, machine)}"


def binary_target(path: str) -> str:
    """Return the target of an ELF or Mach-O file; empty for another file, or one that cannot be read."""
    header = b""
    with suppress(OSError), open(path, "rb", buffering=0) as stream:
        header = stream.read(20)
    if header[:4] == b"\x7fELF":
        number = int.from_bytes(header[18:20], "big" if header[5:6] == b"\x02" else "little")
        return _ELF.get(number, f"another machine (ELF {number})")
    if header[:4] == b"\xcf\xfa\xed\xfe":
        number = int.from_bytes(header[4:8], "little")
        return _MACHO.get(number, f"another machine (Mach-O {number:#x})")
    return ""
