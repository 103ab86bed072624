"""Finds missing requirements that only an administrator can install, and installs them as root on Debian or Ubuntu.

On a hosted runner, everything that is missing for a release is reported before the work starts.
"""

import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib import apt, command, debian
from stigmer_packaging.lib.errors import CommandError, MissingToolError
from stigmer_packaging.lib.interpreter import read_interpreter
from stigmer_packaging.lib.target import ARCHITECTURES, SYSTEMS, Target, platform_of


@dataclass(frozen=True)
class Machine:
    """The facts about this machine: `linux` or `darwin`, the search path for programs, and whether we are root."""

    system: str
    path: str
    is_root: bool

    def has(self, program: str) -> bool:
        """Return whether a program is on the search path."""
        return shutil.which(program, path=self.path) is not None


@dataclass(frozen=True)
class Requirement:
    """A requirement of a stage: its name, its Debian package, its purpose, and a test of whether it is installed."""

    stage: str
    name: str
    package: str
    purpose: str
    is_met: Callable[[Machine], bool]

    def __str__(self) -> str:
        return f"{self.name} ({self.stage}: {self.purpose})"


def _program(name: str) -> Callable[[Machine], bool]:
    return lambda machine: machine.has(name)


def _library_of_python(machine: Machine) -> bool:
    return bool(read_interpreter(sys.executable, env={"PATH": machine.path}).library)


def _debian_keyring(_machine: Machine) -> bool:
    folder = Path("/usr/share/keyrings")
    return any((folder / f"{name}-archive-keyring.gpg").is_file() for name in ("debian", "ubuntu"))


OWN_PYTHON = "freeze --python"
"""Freezing on Linux with a Python of this machine; the pinned one needs no program of the machine."""

EMULATION = "emulation"
"""Any stage for a platform that is emulated."""

PYTHON = "python"
"""Building the CPython that is frozen; the compiler is not the machine's."""

LINUX = (
    Requirement(PYTHON, "make", "make", "builds CPython and OpenSSL", _program("make")),
    Requirement(PYTHON, "patch", "patch", "patches the sources", _program("patch")),
    Requirement(PYTHON, "perl with its modules", "perl", "configures OpenSSL", _program("prove")),
    Requirement(PYTHON, "tclsh", "tcl", "generates SQLite's amalgamation", _program("tclsh")),
    Requirement(OWN_PYTHON, "objdump", "binutils", "identifies native files", _program("objdump")),
    Requirement(OWN_PYTHON, "objcopy", "binutils", "writes frozen programs", _program("objcopy")),
    Requirement(
        OWN_PYTHON,
        "the shared library of Python",
        f"libpython{sysconfig.get_python_version()}",
        "runs frozen programs",
        _library_of_python,
    ),
    Requirement("verify", "bwrap", "bubblewrap", "runs the sandbox", _program("bwrap")),
    Requirement("verify", "mmdebstrap", "mmdebstrap", "builds the root without Python", _program("mmdebstrap")),
    Requirement(
        "verify",
        "newuidmap",
        "uidmap",
        "maps the users of the root file system",
        lambda machine: machine.is_root or machine.has("newuidmap"),
    ),
    Requirement(
        EMULATION, "qemu-aarch64-static", "qemu-user-static", "runs arm64 programs", _program("qemu-aarch64-static")
    ),
    Requirement("vm", "qemu", "qemu-system-x86", "runs virtual machines", _program("qemu-system-x86_64")),
    Requirement("vm", "mksquashfs", "squashfs-tools", "packs their root file system", _program("mksquashfs")),
    Requirement("vm", "cpio", "cpio", "packs their initramfs", _program("cpio")),
    Requirement(
        "verify", "the archive's keys", "debian-archive-keyring", "check the packages of the root", _debian_keyring
    ),
)
DARWIN = (Requirement("freeze", "codesign", "", "signs frozen programs", _program("codesign")),)

RELEASE = frozenset(one.stage for one in (*LINUX, *DARWIN)) - {OWN_PYTHON}
"""The stages of a release and its verification, with the pinned Python."""


def find_missing(stages: Iterable[str], machine: Machine) -> tuple[Requirement, ...]:
    """Return the requirements of the stages that this machine does not meet."""
    stages, known = set(stages), LINUX if machine.system == "linux" else DARWIN
    return tuple(one for one in known if one.stage in stages and not one.is_met(machine))


def provide(
    missing: tuple[Requirement, ...], machine: Machine, *, env: Mapping[str, str], report: Callable[[str], None]
) -> None:
    """Install what is missing, as root on Debian or Ubuntu; otherwise MissingToolError lists all of it."""
    if not missing:
        return
    packages = sorted({one.package for one in missing if one.package})
    if not (machine.is_root and machine.has("apt-get")):
        raise MissingToolError(_sentence(missing), _remedy(machine, packages))
    report(f"installing {', '.join(packages)}")
    noninteractive = {**env, "DEBIAN_FRONTEND": "noninteractive"}
    command.run(["apt-get", "update", "--quiet"], env=noninteractive)
    command.run(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages], env=noninteractive)
    if still := tuple(one for one in missing if not one.is_met(machine)):
        raise MissingToolError(_sentence(still), f"{', '.join(packages)} are installed, but do not provide it")


def _sentence(missing: tuple[Requirement, ...]) -> str:
    lines = "\n".join(f"  {one}" for one in missing)
    return f"this machine lacks what only an administrator can install:\n{lines}"


def _remedy(machine: Machine, packages: list[str]) -> str:
    if machine.system == "darwin":
        return "install Apple's command line tools: xcode-select --install"
    return (
        f"ask an administrator for: apt-get install {' '.join(packages)} (as root, this command installs them itself)"
    )


def read_platform(system: str, machine: str) -> Target:
    """Return the platform for `uname`'s system and machine; MissingToolError if we cannot build on it."""
    found = platform_of(system, machine)
    if found.system not in SYSTEMS or found.architecture not in ARCHITECTURES:
        raise MissingToolError(f"cannot build on {system} {machine}", "use Linux or macOS, on x86_64 or arm64")
    return found


def find_problems(machine: Machine, env: Mapping[str, str], etc: Path, *, sources: bool) -> Iterator[MissingToolError]:
    """Yield an error for each thing that a runner lacks to build and verify; with `sources`, also Debian's archives."""
    for one in find_missing(RELEASE, machine):
        yield MissingToolError(str(one), f"install {one.package or one.name}")
    if machine.system == "linux":
        if not machine.is_root:  # root needs no user namespaces
            yield from _failure_of(lambda: _try_namespaces({**env, "PATH": machine.path}))
        yield from _failure_of(lambda: apt.find_mirror(etc))
    if sources:
        in_ci = f"set the repository's variable {debian.MIRROR} to a Debian mirror" if env.get("CI") else ""
        yield from _failure_of(lambda: debian.find_archives("", env, etc), in_ci)


def _try_namespaces(env: Mapping[str, str]) -> None:
    try:
        command.run(["unshare", "--user", "--map-root-user", "true"], env=env, seconds=60)
    except (CommandError, MissingToolError) as error:
        reason = str(error).splitlines()[0]
        remedy = "set kernel.apparmor_restrict_unprivileged_userns=0"
        raise MissingToolError(f"user namespaces: {reason}", remedy) from error


def _failure_of(find: Callable[[], object], remedy: str = "") -> Iterator[MissingToolError]:
    try:
        find()
    except MissingToolError as error:
        yield MissingToolError(str(error), remedy or error.remedy)


def render_problems(problems: Iterable[MissingToolError]) -> str:
    """Return a message that lists each problem with its remedy."""
    return "this machine lacks:\n" + "\n".join(f"  {one}\n    -> {one.remedy}" for one in problems)
