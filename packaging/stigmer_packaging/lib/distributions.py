"""The distributions installed in an environment, read from their metadata, and conflicts between them."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name
from packaging.version import Version

_EXTENSION_SUFFIXES = (".so", ".pyd")


@dataclass(frozen=True, eq=False)
class Distribution:
    """An installed distribution: canonical name, version, and its files with their hashes from RECORD ("" if none)."""

    name: str
    version: str
    files: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def read_distributions(site: Path) -> tuple[Distribution, ...]:
    """Return the distributions installed in a site-packages directory, sorted by name."""
    found = [
        Distribution(
            canonicalize_name(entry.metadata["Name"]),
            entry.version,
            {file.as_posix(): file.hash.value if file.hash else "" for file in entry.files or ()},
        )
        for entry in metadata.distributions(path=[str(site)])
    ]
    return tuple(sorted(found, key=lambda entry: entry.name))


def rewrite_record(record: Path, name_of: Callable[[str], str]) -> None:
    """Rename the files in a RECORD; files for which `name_of` returns an empty string are removed from it."""
    rows = [row for row in csv.reader(io.StringIO(record.read_text(encoding="utf-8"))) if row]
    renamed = ([name_of(path), *rest] for path, *rest in rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(row for row in renamed if row[0])
    record.write_text(text.getvalue(), encoding="utf-8")


@dataclass(frozen=True)
class Conflict:
    """A module, or a file that is not a module, that several distributions install, with the files of each of them."""

    module: str
    claims: Mapping[Distribution, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the distributions; one that has the module's own name comes first."""
        namesake = canonicalize_name(self.module)
        return tuple(sorted((entry.name for entry in self.claims), key=lambda name: (name != namesake, name)))

    def __str__(self) -> str:
        parts = [f"{owner} ({', '.join(files)})" for owner, files in self.claims.items()]
        return f"{self.module}: {' and '.join(parts)}"


def find_conflicts(distributions: Iterable[Distribution]) -> tuple[Conflict, ...]:
    """Return every module or file that several distributions own: the one installed last replaces the others' code.

    A distribution owns a module if it ships `X.py`, `X/__init__.py` or an extension `X`. A package without `__init__`
    has no owner and may be shared, and so may a file that is byte for byte the same in all of them.
    """
    owners: dict[str, dict[str, set[tuple[str, str]]]] = defaultdict(lambda: defaultdict(set))
    by_name = {entry.name: entry for entry in distributions}
    for distribution in by_name.values():
        for path, checksum in distribution.files.items():
            if not _is_private(path):
                owners[module_of(path) or path][distribution.name].add((path, checksum))
    contested = sorted(name for name, claims in owners.items() if _is_contested(claims))
    return tuple(
        Conflict(
            module,
            {by_name[name]: tuple(sorted(path for path, _ in owners[module][name])) for name in sorted(owners[module])},
        )
        for module in outermost_modules(contested)
    )


def find_differences(installed: Iterable[Distribution], expected: Mapping[str, str]) -> tuple[str, ...]:
    """Describe every distribution that is missing, unexpected, or of another version; names are canonical."""
    actual = {entry.name: entry.version for entry in installed}
    missing = [f"{name} {expected[name]} is locked but not installed" for name in sorted(expected.keys() - actual)]
    extra = [f"{name} {actual[name]} is installed but not locked" for name in sorted(actual.keys() - expected)]
    changed = [
        f"{name} is locked at {expected[name]} but installed at {actual[name]}"
        for name in sorted(expected.keys() & actual)
        if Version(expected[name]) != Version(actual[name])
    ]
    return (*missing, *extra, *changed)


def module_of(path: str) -> str:
    """Return the dotted module name of a file in site-packages, or an empty string if it is not a module."""
    file = PurePosixPath(path)
    if file.suffix != ".py" and file.suffix not in _EXTENSION_SUFFIXES:
        return ""
    parts = (*file.parent.parts, file.name.split(".")[0])
    if not all(part.isidentifier() for part in parts):
        return ""
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_in(distribution: Distribution) -> tuple[str, ...]:
    """Return the outermost modules that a distribution installs; all its other modules are submodules of these."""
    return tuple(outermost_modules({module_of(path) for path in distribution.files if not _is_private(path)} - {""}))


def files_of(distribution: Distribution, module: str) -> tuple[str, ...]:
    """Return the files of a distribution that belong to a module: its own file, and everything in its folder."""
    folder = f"{module.replace('.', '/')}/"
    return tuple(
        path
        for path in distribution.files
        if not _is_private(path) and (path == module or module_of(path) == module or path.startswith(folder))
    )


def _is_private(path: str) -> bool:
    """Return whether a file is metadata of a distribution, cached bytecode, or outside site-packages."""
    first, *_ = parts = PurePosixPath(path).parts
    return first == ".." or first.endswith(".dist-info") or "__pycache__" in parts


def _is_contested(claims: Mapping[str, set[tuple[str, str]]]) -> bool:
    files = set().union(*claims.values())
    same = len(files) == 1 and all(checksum for _, checksum in files)
    return len(claims) > 1 and not same


def outermost_modules(modules: Iterable[str]) -> Iterator[str]:
    """Yield the modules that are not inside another one of `modules`."""
    last = ""
    for module in sorted(modules):
        if not (last and module.startswith(f"{last}.")):
            yield module
            last = module
