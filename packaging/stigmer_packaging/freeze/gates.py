"""The gates of freezing: each looks at one way in which a bundle that was built well fails on a user's machine.

Every gate is a function that returns nothing, or raises GateError with all it found. What the files themselves show,
such as a library that is missing or a folder of this machine, is for the bottle's audit.
"""

from collections.abc import Collection, Iterable, Mapping

from stigmer_packaging.freeze.pyinstaller import MissingImport
from stigmer_packaging.lib.distributions import Conflict, Distribution, find_conflicts, find_differences
from stigmer_packaging.lib.errors import GateError, refuse

MADE_BY_OTHERS = frozenset({"collections.abc"})
"""Modules without a file of their own: importing their package makes them. Source: CPython 3.13's collections."""


def check_ownership(distributions: Iterable[Distribution]) -> None:
    """Refuse an environment in which two distributions own one module.

    Unfrozen, such a pair may get along by looking for each other on disk; inside the archive of a bundle nothing lies
    on disk, and the import fails at run time. This is what `multipart` and `python-multipart` do.
    """
    if conflicts := find_conflicts(distributions):
        refuse(GateError, "two distributions install the same module", map(str, conflicts), _owners_line(conflicts))


def check_lock(distributions: Iterable[Distribution], expected: Mapping[str, str]) -> None:
    """Refuse an environment that is not exactly what was locked; `expected` maps canonical names to versions."""
    refuse(GateError, "the environment is not what its lock says", find_differences(distributions, expected))


def check_modules(missing: Iterable[MissingImport], package: str) -> None:
    """Refuse a bundle that lacks a module which something in it imports without a way out.

    For modules of `package`, a way out is a condition or a caught ImportError; for those of others, being imported
    late is one too. The edges that PyInstaller draws from a package to its submodules are no imports.
    """
    findings = [
        f"{each.module}, imported by {each.importer}"
        for each in missing
        if each.module not in MADE_BY_OTHERS
        if _is_certain(each, package) and not each.module.startswith(f"{each.importer}.")
    ]
    refuse(GateError, "the bundle lacks modules that it imports", findings)


def _owners_line(conflicts: Collection[Conflict]) -> str:
    """Word the remedy: the very line to add to the manifest."""
    owners = ", ".join(f"{conflict.module}: {conflict.names[0]}" for conflict in conflicts)
    others = dict.fromkeys(name for conflict in conflicts for name in conflict.names[1:])
    return (
        "name the owner of each module; the other's files of it are left out of the bundle. In the manifest "
        f"add to the component's source:\n      freeze: {{owners: {{{owners}}}}}   # or {', '.join(others)}"
    )


def _is_certain(found: MissingImport, package: str) -> bool:
    if "/" in found.importer:  # the main script, to which PyInstaller ties all that every program gets
        return False
    own = f"{found.importer}.".startswith(f"{package}.")
    return not found.ways & ({"conditional", "optional"} if own else {"conditional", "optional", "delayed"})
