"""Reads the locks of Python projects into pins with hashes, and folders of the project's source tree.

Sources: uv's `uv.lock` of version 1; Poetry's `poetry.lock` of lock-version 2.0 and 2.1; PDM's `pdm.lock` of 4.5;
`pylock.toml` of PEP 751; and pip's requirements format.
"""

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker, default_environment
from packaging.pylock import Package as PylockPackage
from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from stigmer_packaging.lib.errors import GateError, SourceError, raise_if_any
from stigmer_packaging.sources.freeze_table import read_pyproject
from stigmer_packaging.sources.lock_graph import Edge, Node, find_reached
from stigmer_packaging.sources.locks import REMEDY, Pin, applies, parse_lock

ROOTS = (".", "")
_EXPORT = "uv export --package NAME --format pylock.toml -o pylock.toml"
_POETRY = "lock again with Poetry 2: poetry lock"
Package = Mapping[str, Any]
PinOrFolder = Pin | str
"""A package of a lock: a pin, or the folder that contains its source."""

_EXTRA = re.compile(r"""extra == (["'])[^"']*\1""")
_ALWAYS = "python_version >= '0'"
"""Replaces `extra == …` in an optional dependency's marker, which is only read if the extra is requested."""


@dataclass(frozen=True)
class Locked:
    """The run-time dependencies of a project: distributions by version and hash, and folders of its source tree.

    The folders are relative to the project, and may be outside of it. `name` is the name of the lock file.
    """

    pins: tuple[Pin, ...]
    folders: tuple[str, ...] = ()
    name: str = ""


def read_project_lock(project: Path, named: str = "") -> Locked:
    """Read a project's lock: the one that is named, else the first of LOCKS that exists.

    Only run-time dependencies are read: no development groups, and no extras that the project does not request. A
    requirements.txt is a lock if it pins everything with hashes. SourceError if there is no lock, or it cannot be used;
    GateError if a pin has no hash.
    """
    name = named or _choose(project)
    kind = Path(name).name
    pylock = kind.startswith("pylock.") and kind.endswith(".toml")
    read = LOCKS.get("pylock.toml" if pylock else kind, _read_pip)
    try:
        packages = list(read((project / name).read_text(encoding="utf-8"), project))
    except FileNotFoundError as error:
        raise SourceError(f"{project} has no {name}, which `lock` of its freeze table names") from error
    except (ValueError, LookupError, TypeError, AttributeError, InvalidMarker) as error:
        raise SourceError(f"{project / name} cannot be read as a lock: {error!r}") from error
    pins = tuple(each for each in packages if isinstance(each, Pin))
    unhashed = (f"{pin.name}=={pin.version}" for pin in pins if not pin.hashes)
    raise_if_any(GateError, "the lock pins these without a hash", unhashed, REMEDY)
    return Locked(pins, tuple(sorted(each for each in packages if isinstance(each, str))), name)


def _choose(project: Path) -> str:
    for name in LOCKS:
        if name != _LAST and (project / name).is_file():
            return name
    others = sorted(path.name for path in project.glob("pylock.*.toml"))
    if len(others) > 1:
        remedy = f"name one in the component's source in the manifest: `freeze: {{lock: {others[0]}}}`"
        raise SourceError(f"{project} has several locks: {', '.join(others)}", remedy)
    if others:
        return others[0]
    has_requirements = (project / _LAST).is_file()
    if has_requirements and _is_lock(project / _LAST):
        return _LAST
    why = f"; its {_LAST} does not pin everything with hashes" if has_requirements else ""
    remedy = f"lock it with the tool it is developed with, such as: uv lock (as a member of a workspace: {_EXPORT})"
    raise SourceError(f"{project} has no lock: none of {', '.join(LOCKS)}{why}", remedy)


def _is_lock(requirements: Path) -> bool:
    try:
        return bool(parse_lock(requirements.read_text(encoding="utf-8")))
    except GateError:
        return False


def _read_pip(text: str, _project: Path) -> Iterable[PinOrFolder]:
    return parse_lock(text)


def _read_poetry(text: str, project: Path) -> Iterator[PinOrFolder]:
    """Yield the packages of the group `main`, with the markers that Poetry computed."""
    document = tomllib.loads(text)
    version = document["metadata"]["lock-version"]
    if version == "2.0":
        yield from _read_old_poetry(document["package"], read_pyproject(project))
        return
    if not version.startswith("2."):
        raise SourceError(f"poetry.lock has the lock-version {version}", _POETRY)
    for package in document["package"]:
        if "main" in package["groups"] and not package["optional"]:
            marker = package.get("markers", "")
            yield _from_poetry(package, marker.get("main", "") if isinstance(marker, Mapping) else marker)


def _read_old_poetry(packages: Sequence[Package], pyproject: Mapping[str, Any]) -> Iterator[PinOrFolder]:
    """Yield the packages that the project's dependencies lead to: lock-version 2.0 has no groups."""
    nodes = [_poetry_node(package) for package in packages]
    names = [node.name for node in nodes]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(
            f"poetry.lock of lock-version 2.0 locks {', '.join(duplicates)} more than once, without markers",
            _POETRY,
        )
    dependencies = pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {})
    if not dependencies:
        raise SourceError("poetry.lock of lock-version 2.0 needs [tool.poetry.dependencies]", _POETRY)
    edges = [edge for name, spec in dependencies.items() if name != "python" for edge in _poetry_edges(name, spec)]
    yield from (_from_poetry(packages[index], marker) for index, marker in find_reached(edges, nodes))


def _poetry_node(package: Package) -> Node:
    dependencies = package.get("dependencies", {}).items()
    required = [edge for name, spec in dependencies for edge in _poetry_edges(name, spec)]
    optional = {edge.name: edge for name, spec in dependencies for edge in _poetry_edges(name, spec, optional=True)}
    extras = {}
    for extra, lines in package.get("extras", {}).items():
        names = [canonicalize_name(line.split()[0].split("[")[0]) for line in lines]
        extras[extra] = [optional[name] for name in names if name in optional]
    return Node(canonicalize_name(package["name"]), package["version"], required, extras)


def _poetry_edges(name: str, spec: Any, *, optional: bool = False) -> Iterator[Edge]:
    """Yield the dependencies in a version, a table, or a list of these: either the optional or the required ones."""
    for entry in spec if isinstance(spec, list) else [spec]:
        table = {"version": entry} if isinstance(entry, str) else entry
        if bool(table.get("optional")) == optional:
            markers = [f"({_EXTRA.sub(_ALWAYS, table['markers'])})"] if table.get("markers") else []
            markers += _python_marker(table.get("python", ""))
            yield Edge(canonicalize_name(name), None, tuple(table.get("extras", ())), " and ".join(markers))


def _python_marker(constraint: str) -> list[str]:
    """Return markers for the Python versions of a dependency; none for Poetry's own operators, which are ignored."""
    try:
        return [f"python_full_version {each.operator} '{each.version}'" for each in SpecifierSet(constraint)]
    except InvalidSpecifier:
        return []


def _from_poetry(package: Package, marker: str) -> PinOrFolder:
    source = package.get("source", {})
    if source.get("type") == "directory":
        return str(source["url"])
    return _pin(package, source.get("type", "legacy"), marker, [(one["file"], one["hash"]) for one in package["files"]])


def _read_uv(text: str, _project: Path) -> Iterator[PinOrFolder]:
    """Yield the packages that the project leads to, with the markers on the paths to them."""
    document = tomllib.loads(text)
    if document["version"] != 1:
        raise SourceError(f"uv.lock has version {document['version']}, not 1", f"export the lock: {_EXPORT}")
    packages: list[Package] = document["package"]
    nodes = [_uv_node(package) for package in packages]
    roots = [node for node, package in zip(nodes, packages, strict=True) if _folder_of(package) in ROOTS]
    if not roots:
        remedy = f"export the lock of one project: {_EXPORT}"
        raise SourceError("uv.lock locks a workspace, and no project in its folder", remedy)
    reached = [(packages[index], marker) for index, marker in find_reached(roots[0].edges, nodes)]
    for package, marker in sorted(reached, key=lambda pair: (pair[0]["name"], pair[0].get("version", ""))):
        folder = _folder_of(package)
        yield _from_uv(package, marker) if folder is None else folder


def _uv_node(package: Package) -> Node:
    def edges(listed: Sequence[Package]) -> list[Edge]:
        return [
            Edge(one["name"], one.get("version"), tuple(one.get("extra", ())), one.get("marker", "")) for one in listed
        ]

    extras = {extra: edges(listed) for extra, listed in package.get("optional-dependencies", {}).items()}
    return Node(package["name"], package.get("version"), edges(package.get("dependencies", [])), extras)


def _folder_of(package: Package) -> str | None:
    source = package["source"]
    return next((source[kind] for kind in ("virtual", "editable", "directory") if kind in source), None)


def _from_uv(package: Package, marker: str) -> Pin:
    wheels = [(".whl", file.get("hash", "")) for file in package.get("wheels", [])]
    source = [("", package["sdist"].get("hash", ""))] if "sdist" in package else []
    return _pin(package, next(iter(package["source"]), "unknown"), marker, [*wheels, *source])


def _read_pdm(text: str, _project: Path) -> Iterator[PinOrFolder]:
    """Yield the packages of the group `default`, with the markers that PDM computed."""
    document = tomllib.loads(text)
    if "inherit_metadata" not in document["metadata"].get("strategy", ()):
        remedy = "lock again: pdm lock -S inherit_metadata"
        raise SourceError("pdm.lock does not contain the groups of packages", remedy)
    for package in document["package"]:
        if "default" in package["groups"] and not package.get("extras"):  # such a package is listed without extras, too
            if "path" in package:
                yield package["path"]
                continue
            source = next((kind for kind in ("git", "hg", "svn", "url") if kind in package), "registry")
            files = [(file.get("file") or file["url"], file["hash"]) for file in package.get("files", [])]
            yield _pin(package, source, package.get("marker", ""), files)


def _read_pylock(text: str, _project: Path) -> Iterator[PinOrFolder]:
    """Yield the packages to install with the default groups and without extras."""
    try:
        document = Pylock.from_dict(tomllib.loads(text))
    except (PylockValidationError, PylockUnsupportedVersionError) as error:
        remedy = "lock again with the tool that created it"
        raise SourceError(f"pylock.toml does not follow PEP 751: {error}", remedy) from error
    groups = frozenset(document.default_groups or ())
    for package in document.packages:
        wanted = package.marker is None or applies(package.marker, default_environment(), groups)
        if package.directory is not None:
            folder = posixpath.normpath(package.directory.path or ".")
            if wanted and folder not in ROOTS:
                yield folder
        elif package.version is not None and not (package.vcs or package.archive):
            yield _from_pylock(package, groups)
        elif wanted:
            _refuse_foreign(package.name, "vcs" if package.vcs else "archive")


def _from_pylock(package: PylockPackage, groups: frozenset[str]) -> Pin:
    files = [wheel.hashes for wheel in package.wheels or ()] + ([package.sdist.hashes] if package.sdist else [])
    hashes = tuple(sorted(f"sha256:{file['sha256']}" for file in files if "sha256" in file))
    return Pin(package.name, str(package.version), package.marker, hashes, groups, bool(files) and not package.wheels)


def _refuse_foreign(name: str, source: str) -> None:
    if source not in {"registry", "legacy"}:  # the latter is Poetry's type for a named index
        raise SourceError(
            f"the source of {name} in the lock is of the kind {source!r}, which is not a package index",
            f"take {name} from a package index, or add it to the source tree and depend on its folder",
        )


def _pin(package: Package, source: str, marker: str, files: Sequence[tuple[str, str]]) -> Pin:
    """Return the pin of a package, which must be from an index; `files` are the names and hashes of its files."""
    _refuse_foreign(package["name"], source)
    hashes = tuple(sorted({checksum for _, checksum in files} - {""}))
    source_only = bool(files) and not any(name.endswith(".whl") for name, _ in files)
    name, parsed = canonicalize_name(package["name"]), Marker(marker) if marker else None
    return Pin(name, package["version"], parsed, hashes, source_only=source_only)


LOCKS: Mapping[str, Callable[[str, Path], Iterable[PinOrFolder]]] = {
    "requirements.lock": _read_pip,
    "pylock.toml": _read_pylock,
    "uv.lock": _read_uv,
    "poetry.lock": _read_poetry,
    "pdm.lock": _read_pdm,
    "requirements.txt": _read_pip,
}
"""The reader of each lock file, by name; if a project has several, the first is used."""

_LAST = "requirements.txt"
