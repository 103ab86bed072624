"""Gates of freezing: each checks for one way in which a bundle that was built without errors fails on a user's machine.

Every gate is a function that returns nothing, or raises GateError with all findings. Problems that the files themselves
show, such as a missing library or the path of a folder of this machine, are left to the bottle's audit.
"""

from collections.abc import Collection, Iterable, Mapping

from stigmer_packaging.freeze.pyinstaller import MissingImport
from stigmer_packaging.lib.distributions import Conflict, Distribution, find_conflicts, find_differences
from stigmer_packaging.lib.errors import GateError, raise_if_any

WITHOUT_FILE = frozenset({"collections.abc"})
"""Modules without a file of their own, which importing their package creates. Source: CPython 3.13's collections."""


def check_ownership(distributions: Iterable[Distribution]) -> None:
    """Refuse an environment in which two distributions install the same module.

    Unfrozen, such a pair may work because one finds the other's file on disk; in the archive of a bundle there are no
    files, and the import fails at run time. `multipart` and `python-multipart` are such a pair.
    """
    if conflicts := find_conflicts(distributions):
        raise_if_any(
            GateError, "two distributions install the same module", map(str, conflicts), _owners_line(conflicts)
        )


def check_lock(distributions: Iterable[Distribution], expected: Mapping[str, str]) -> None:
    """Refuse an environment that differs from its lock; `expected` maps canonical names to versions."""
    raise_if_any(GateError, "the environment differs from its lock", find_differences(distributions, expected))


def check_modules(missing: Iterable[MissingImport], package: str) -> None:
    """Refuse a bundle that lacks a module which something in it imports unconditionally.

    In modules of `package`, an import may be missing if it depends on a condition or its ImportError is caught; in
    other modules, also if it is inside a function. PyInstaller lists submodules as imported by their package; these do
    not count.
    """
    findings = [
        f"{each.module}, imported by {each.importer}"
        for each in missing
        if each.module not in WITHOUT_FILE
        if _is_unconditional(each, package) and not each.module.startswith(f"{each.importer}.")
    ]
    raise_if_any(GateError, "the bundle lacks modules that it imports", findings)


def _owners_line(conflicts: Collection[Conflict]) -> str:
    """Return the remedy, with the exact line to add to the manifest."""
    owners = ", ".join(f"{conflict.module}: {conflict.names[0]}" for conflict in conflicts)
    others = dict.fromkeys(name for conflict in conflicts for name in conflict.names[1:])
    return (
        "name the owner of each module; the other distribution's files of it are left out of the bundle. Add to the "
        f"component's source in the manifest:\n      freeze: {{owners: {{{owners}}}}}   # or {', '.join(others)}"
    )


def _is_unconditional(missing: MissingImport, package: str) -> bool:
    if "/" in missing.importer:  # the main script, which PyInstaller lists as importer of what every program gets
        return False
    own = f"{missing.importer}.".startswith(f"{package}.")
    return not missing.ways & ({"conditional", "optional"} if own else {"conditional", "optional", "delayed"})
