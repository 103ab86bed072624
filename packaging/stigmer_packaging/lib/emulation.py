"""Programs of another architecture on this machine, by QEMU's user-mode emulation, for one command and its children.

binfmt_misc, mounted in a user namespace of its own, makes the kernel run such programs with QEMU. This needs no
privileges, leaves the machine's own settings alone, and ends with the command. Sources: Linux's
Documentation/admin-guide/binfmt-misc.rst, whose namespaces came with 6.7; elf(5) for the header that is matched.
"""

import shutil
from collections.abc import Mapping
from typing import NamedTuple

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.lib.target import Target

EMULATORS = {"arm64": "qemu-aarch64-static"}
"""The emulator of each architecture; `target.EMULATED` has the platforms that can use them."""

SLOWDOWN = 10
"""The factor by which the deadlines of emulated programs are longer; measured: 6 to 15 times slower."""


class Runner(NamedTuple):
    """How to run a program of some platform here: a command prefix, and the factor by which deadlines are longer."""

    prefix: tuple[str, ...] = ()
    slowdown: int = 1


NATIVE = Runner()
"""Runs programs directly."""

# The ELF header of a 64-bit little-endian program for EM_AARCH64, executable or position-independent, of any ABI.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_FLAGS = "OPF"  # O: pass the open program; P: keep argv[0]; F: open QEMU now, because it is missing in another root
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
    """Return how to run programs for `target`, with their children, on `host`; under emulation root is the only user.

    MissingToolError if the emulator is not installed.
    """
    if target == host:
        return NATIVE
    name = EMULATORS[target.architecture]
    emulator = shutil.which(name, path=environment.get("PATH"))
    if emulator is None:
        raise MissingToolError(f"{name} is not installed", "install qemu-user-static and run again")
    rule = f":{target.architecture}:M::{_MAGIC}:{_MASK}:{emulator}:{_FLAGS}"
    argv = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", _REGISTER, "emulate", rule)
    return Runner(argv, SLOWDOWN)


def require_emulation(prefix: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Raise MissingToolError, with what an administrator can do, unless the prefix of a Runner works here."""
    if not prefix:
        return
    try:
        command.run([*prefix, "true"], env=environment, seconds=60)
    except CommandError as error:
        raise MissingToolError(f"programs cannot be emulated here: {error.output.strip()}", _REMEDY) from error
