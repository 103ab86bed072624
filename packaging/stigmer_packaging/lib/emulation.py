"""Programs of another architecture on this machine: QEMU's user-mode emulation, seen by one command and what it starts.

The kernel hands programs of that architecture to QEMU because binfmt_misc says so, in a user namespace of its own: no
privilege is needed, the machine's own settings stay as they are, and all of it is gone when the command has ended.
Sources: Documentation/admin-guide/binfmt-misc.rst of Linux, whose namespaces came with 6.7; elf(5) for what is matched.
"""

import shutil
from collections.abc import Mapping
from typing import NamedTuple

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.lib.target import Target

EMULATORS = {"arm64": "qemu-aarch64-static"}
"""What runs the programs of an architecture; target.EMULATED says where."""

SLOWDOWN = 10
"""How much longer an emulated program may take than a native one; measured: 6 to 15 times."""


class Runner(NamedTuple):
    """How a program of some platform is run here: the words before it, and the factor by which deadlines are longer."""

    prefix: tuple[str, ...] = ()
    slowdown: int = 1


NATIVE = Runner()
"""As it is."""

# The ELF header of a 64-bit little-endian program for EM_AARCH64, executable or position-independent, of any ABI.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_FLAGS = "OPF"  # QEMU is given the open program and its own argv[0], and is itself opened now: another root has it not
_REGISTER = """
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s "$1" >/proc/sys/fs/binfmt_misc/register
shift
exec "$@"
"""
_REMEDY = (
    "emulation needs Linux 6.7 or later and user namespaces: kernel.unprivileged_userns_clone=1, and where AppArmor "
    "restricts them kernel.apparmor_restrict_unprivileged_userns=0"
)


def runner_for(target: Target, host: Target, environment: Mapping[str, str]) -> Runner:
    """Say how programs for `target`, and what they start, are run on `host`; as root they keep no other user than root.

    MissingToolError where the emulator is not installed.
    """
    if target == host:
        return NATIVE
    name = EMULATORS[target.architecture]
    emulator = shutil.which(name, path=environment.get("PATH"))
    if emulator is None:
        raise MissingToolError(f"{name} is not on this machine", "install qemu-user-static and run again")
    rule = f":{target.architecture}:M::{_MAGIC}:{_MASK}:{emulator}:{_FLAGS}"
    words = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", _REGISTER, "emulate", rule)
    return Runner(words, SLOWDOWN)


def require_emulation(words: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Raise MissingToolError, saying what an administrator can do, unless the words of a Runner work here."""
    if not words:
        return
    try:
        command.run([*words, "true"], env=environment, seconds=60)
    except CommandError as error:
        raise MissingToolError(f"programs cannot be emulated here: {error.output.strip()}", _REMEDY) from error
