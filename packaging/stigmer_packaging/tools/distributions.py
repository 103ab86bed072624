"""The distributions installed in an environment, read from their metadata, and what is wrong with them together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name
from packaging.version import Version

_EXTENSION_SUFFIXES = (".so", ".pyd")


@dataclass(frozen=True)
class Distribution:
    """One installed distribution: canonical name, version, and its files with the hash its RECORD gives (or none)."""

    name: str
    version: str
    files: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def read_distributions(site: Path) -> tuple[Distribution, ...]:
    """Read what is installed in a site-packages directory, sorted by name."""
    found = [
        Distribution(
            canonicalize_name(entry.metadata["Name"]),
            entry.version,
            {file.as_posix(): file.hash.value if file.hash else "" for file in entry.files or ()},
        )
        for entry in metadata.distributions(path=[str(site)])
    ]
    return tuple(sorted(found, key=lambda entry: entry.name))


def find_conflicts(distributions: Iterable[Distribution]) -> tuple[str, ...]:
    """Name every module or file that two distributions both own: whichever came last, one gets the other's code.

    Owning a module is shipping `X.py`, `X/__init__.py` or an extension `X`. A package without `__init__` belongs to
    nobody and may be shared, and so may a file that is byte for byte the same in both.
    """
    owners: dict[str, dict[str, set[tuple[str, str]]]] = defaultdict(lambda: defaultdict(set))
    for distribution in distributions:
        for path, checksum in distribution.files.items():
            if not _is_private(path):
                owners[module_of(path) or path][str(distribution)].add((path, checksum))
    contested = sorted(name for name, claims in owners.items() if _is_contested(claims))
    return tuple(_describe(module, owners[module]) for module in _outermost(contested))


def find_differences(installed: Iterable[Distribution], expected: Mapping[str, str]) -> tuple[str, ...]:
    """Name every distribution that is missing, of another version, or not expected (names are canonical)."""
    actual = {entry.name: entry.version for entry in installed}
    missing = [f"{name} {expected[name]} is locked and not installed" for name in sorted(expected.keys() - actual)]
    extra = [f"{name} {actual[name]} is installed and not locked" for name in sorted(actual.keys() - expected)]
    changed = [
        f"{name} is locked at {expected[name]} and installed at {actual[name]}"
        for name in sorted(expected.keys() & actual)
        if Version(expected[name]) != Version(actual[name])
    ]
    return (*missing, *extra, *changed)


def module_of(path: str) -> str:
    """Give the dotted name of the module that a file in site-packages is, empty when it is none."""
    file = PurePosixPath(path)
    if file.suffix != ".py" and file.suffix not in _EXTENSION_SUFFIXES:
        return ""
    parts = (*file.parent.parts, file.name.split(".")[0])
    if not all(part.isidentifier() for part in parts):
        return ""
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_private(path: str) -> bool:
    """Tell whether a file is a distribution's metadata, a cache, or outside of site-packages."""
    first, *_ = parts = PurePosixPath(path).parts
    return first == ".." or first.endswith(".dist-info") or "__pycache__" in parts


def _is_contested(claims: Mapping[str, set[tuple[str, str]]]) -> bool:
    files = set().union(*claims.values())
    same = len(files) == 1 and all(checksum for _, checksum in files)
    return len(claims) > 1 and not same


def _outermost(modules: list[str]) -> Iterator[str]:
    """Leave out what lies inside a module already named; the list is sorted."""
    last = ""
    for module in modules:
        if not (last and module.startswith(f"{last}.")):
            yield module
            last = module


def _describe(module: str, claims: Mapping[str, set[tuple[str, str]]]) -> str:
    parts = [f"{owner} ({', '.join(sorted(path for path, _ in files))})" for owner, files in sorted(claims.items())]
    return f"{module}: {' and '.join(parts)}"
