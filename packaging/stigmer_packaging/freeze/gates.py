"""The gates of freezing: each looks at one way in which a bundle that was built well fails on a user's machine.

Every gate is a function that returns nothing, or raises GateError with all it found.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from stigmer_packaging.binaries.elf import Elf, is_own_folder
from stigmer_packaging.binaries.macho import MachO
from stigmer_packaging.freeze.bundle import SYSTEM_FOLDERS
from stigmer_packaging.freeze.pyinstaller import MissingModule
from stigmer_packaging.lib.distributions import Conflict, Distribution, find_conflicts, find_differences
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.lib.target import Target

SYSTEM_LIBRARIES = frozenset({
    "ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0",
    "libresolv.so.2", "librt.so.1", "libutil.so.1",
})  # fmt: skip
"""What glibc itself is made of, and so whatever runs a program of ours has."""

MADE_BY_OTHERS = frozenset({"collections.abc"})
"""Modules without a file of their own: importing their package makes them. Source: CPython 3.13's collections."""

_CHUNK = 1 << 22


def check_ownership(distributions: Iterable[Distribution]) -> None:
    """Refuse an environment in which two distributions own one module.

    Unfrozen, such a pair may get along by looking for each other on disk; inside the archive of a bundle nothing lies
    on disk, and the import fails at run time. This is what `multipart` and `python-multipart` do.
    """
    if conflicts := find_conflicts(distributions):
        findings = "\n  ".join(map(str, conflicts))
        raise GateError(f"two distributions install the same module:\n  {findings}", _owners_line(conflicts))


def check_lock(distributions: Iterable[Distribution], expected: Mapping[str, str]) -> None:
    """Refuse an environment that is not exactly what was locked; `expected` maps canonical names to versions."""
    _refuse("the environment is not what its lock says", find_differences(distributions, expected))


def check_modules(missing: Iterable[MissingModule], package: str) -> None:
    """Refuse a bundle that lacks a module which something in it imports without a way out.

    For modules of `package`, a way out is a condition or a caught ImportError; for those of others, being imported
    late is one too. The edges that PyInstaller draws from a package to its submodules are no imports.
    """
    findings = [
        f"{module.name}, imported by {importer}"
        for module in missing
        for importer, ways in module.importers
        if module.name not in MADE_BY_OTHERS
        if _is_certain(importer, ways, package) and not module.name.startswith(f"{importer}.")
    ]
    _refuse("the bundle lacks modules that it imports", findings)


def check_search(elves: Iterable[tuple[Path, Elf]], root: Path) -> None:
    """Refuse library search folders that mean something on the build host only."""
    findings = [
        f"{path.relative_to(root)}: {folder}"
        for path, elf in elves
        for folder in elf.search
        if not is_own_folder(folder)
    ]
    _refuse("files look for libraries in folders of the build host", findings)


def check_needed(elves: Collection[tuple[Path, Elf]], root: Path) -> None:
    """Refuse files that need a library which neither the bundle has nor every system with glibc."""
    there = SYSTEM_LIBRARIES | {path.name for path, _ in elves}
    findings = [
        f"{name}, needed by {path.relative_to(root)}" for path, elf in elves for name in elf.needed if name not in there
    ]
    _refuse("the bundle lacks libraries", findings)


def check_bundled(machos: Collection[tuple[Path, MachO]], root: Path) -> None:
    """Refuse files that need a library which neither the bundle has nor every macOS, of whatever version."""
    there = {path.name for path, _ in machos}
    findings = [
        f"{name}, needed by {path.relative_to(root)}"
        for path, macho in machos
        for name in macho.needed
        if not name.startswith(SYSTEM_FOLDERS) and name.rpartition("/")[2] not in there
    ]
    _refuse("the bundle lacks libraries", findings)


def check_architecture(files: Iterable[tuple[Path, Elf | MachO]], root: Path, target: Target) -> None:
    """Refuse native code of another architecture than the target's."""
    wrong = ((path, each) for path, each in files if each.architecture != target.architecture)
    findings = [f"{path.relative_to(root)}: {each.architecture}" for path, each in wrong]
    _refuse(f"files are not for {target.architecture}", findings)


def check_macos(machos: Iterable[tuple[Path, MachO]], root: Path, minimum: str) -> None:
    """Refuse native code that an older macOS than `minimum`, such as `14.0`, has to be newer for.

    The wheels and the Python of a newer machine bring it: pip takes what fits the macOS it runs on.
    """
    promised = tuple(int(number) for number in minimum.split(".") if number)
    findings = [
        f"{path.relative_to(root)}: macOS {'.'.join(map(str, macho.minimum))}"
        for path, macho in machos
        if macho.minimum is not None and macho.minimum[: len(promised)] > promised
    ]
    _refuse(f"files need a newer macOS than {minimum}", findings)


def check_paths(root: Path, folders: Collection[Path]) -> None:
    """Refuse files in whose bytes a path below one of these folders of the build host stands."""
    needles = [f"{folder}/".encode() for folder in folders]
    files = sorted(path for path in root.rglob("*") if path.is_file())
    findings = [
        f"{path.relative_to(root)}: {needle.decode()}" for path in files for needle in needles if _holds(path, needle)
    ]
    _refuse("files hold paths of the build host", findings)


def _owners_line(conflicts: Collection[Conflict]) -> str:
    """Word the remedy: the very line to add to the manifest."""
    owners = ", ".join(f"{conflict.module}: {conflict.names[0]}" for conflict in conflicts)
    others = dict.fromkeys(name for conflict in conflicts for name in conflict.names[1:])
    return (
        "name the owner of each module; the other's files of it are left out of the bundle. In packaging/manifest.yaml "
        f"add to the component's source:\n      freeze: {{owners: {{{owners}}}}}   # or {', '.join(others)}"
    )


def _is_certain(importer: str, ways: frozenset[str], package: str) -> bool:
    own = importer == package or importer.startswith(f"{package}.")
    if "/" in importer:  # the main script, to which PyInstaller ties all that every program gets
        return False
    return not ways & ({"conditional", "optional"} if own else {"conditional", "optional", "delayed"})


def _holds(path: Path, needle: bytes) -> bool:
    kept = b""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if needle in kept + chunk:
                return True
            kept = chunk[-len(needle) :]
    return False


def _refuse(reason: str, findings: Collection[str]) -> None:
    if findings:
        raise GateError("\n  ".join([f"{reason}:", *findings]))
