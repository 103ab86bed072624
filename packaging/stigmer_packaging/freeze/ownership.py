"""Resolves modules that several distributions install: keeps the owner's files and removes the others'."""

import base64
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from stigmer_packaging.lib import distributions
from stigmer_packaging.lib.errors import GateError, raise_if_any
from stigmer_packaging.manifest.section import unknown
from stigmer_packaging.records.model import OmittedModule

_UNRESOLVED = "module ownership cannot be resolved"
_REMEDY = "correct `owners` in the component's `freeze` in the manifest, or in the project's pyproject.toml"


def resolve_owners(site: Path, owners: Mapping[str, str]) -> tuple[OmittedModule, ...]:
    """Remove the files of each module in `owners` that its owner did not install, and return what was removed.

    A file that both installed stays, with the owner's content: the owner must have been installed last. If the owner's
    module is a package that only declares a namespace, the others keep their modules in it that the owner does not
    have. Modules that only one distribution installs are ignored. GateError if an owner does not install its module, or
    one of its files has another distribution's content.
    """
    canonical = {module: canonicalize_name(owner) for module, owner in owners.items()}
    conflicts = distributions.find_conflicts(distributions.read_distributions(site))
    contested = [conflict for conflict in conflicts if conflict.module in canonical]
    wrong = (conflict for conflict in contested if canonical[conflict.module] not in conflict.names)
    problems = (f"{each.module}: {unknown('owner', canonical[each.module], each.names)}" for each in wrong)
    raise_if_any(GateError, _UNRESOLVED, problems, _REMEDY)
    omitted = tuple(each for conflict in contested for each in _resolve(site, conflict, canonical[conflict.module]))
    raise_if_any(GateError, _UNRESOLVED, _find_overwritten(site, contested, canonical), _REMEDY)
    return omitted


def modules_to_import(site: Path, omitted: Collection[OmittedModule]) -> list[str]:
    """Return the remaining modules of the distributions that had a conflict, sorted."""
    names = {name for each in omitted for name in (each.distribution, each.owner)}
    remaining = (
        distributions.modules_in(entry) for entry in distributions.read_distributions(site) if entry.name in names
    )
    return sorted(module for modules in remaining for module in modules)


def _resolve(site: Path, conflict: distributions.Conflict, owner: str) -> Iterator[OmittedModule]:
    module = conflict.module
    kept = {path for entry in conflict.claims if entry.name == owner for path in distributions.files_of(entry, module)}
    init = f"{module.replace('.', '/')}/__init__.py"
    shared = init in kept and _declares_namespace(site / init)
    for entry in conflict.claims:
        if entry.name != owner:
            files = distributions.files_of(entry, module)
            gone = [path for path in files if not shared or path in kept or distributions.module_of(path) == module]
            for path in set(gone) - kept:
                (site / path).unlink(missing_ok=True)
            _remove_from_record(site, entry, gone)
            yield OmittedModule(module, entry.name, entry.version, owner)


def _declares_namespace(init: Path) -> bool:
    """Return whether a package's `__init__` has no code, or contains code that shares it with other distributions.

    Sources: `pkgutil.extend_path` of Python's library and `pkg_resources.declare_namespace` of setuptools.
    """
    source = init.read_bytes()
    empty = all(not line or line.startswith(b"#") for line in map(bytes.strip, source.splitlines()))
    return empty or b"extend_path" in source or b"declare_namespace" in source


def _remove_from_record(site: Path, distribution: distributions.Distribution, gone: Collection[str]) -> None:
    """Remove files from a distribution's RECORD, and remove the folders that are empty now."""
    record = site / next(path for path in distribution.files if path.endswith(".dist-info/RECORD"))
    distributions.rewrite_record(record, lambda path: "" if path in gone else path)
    for folder in sorted({site / parent for path in gone for parent in Path(path).parents}, reverse=True):
        if folder != site and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _find_overwritten(
    site: Path, contested: Iterable[distributions.Conflict], owners: Mapping[str, str]
) -> Iterator[str]:
    for conflict in contested:
        for entry in conflict.claims:
            if entry.name == owners[conflict.module]:
                yield from (
                    f"{path} of {entry} has another distribution's content"
                    for path in distributions.files_of(entry, conflict.module)
                    if entry.files[path] and _checksum(site / path) != entry.files[path]
                )


def _checksum(path: Path) -> str:
    """Return a file's checksum in the format of RECORD."""
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
