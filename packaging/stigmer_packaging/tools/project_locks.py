"""The locks that Python projects bring: pip's own, uv's and Poetry's, each read into the same pins with hashes.

Sources: uv's `uv.lock` of version 1, Poetry's `poetry.lock` of lock-version 2.1 (Poetry 2).
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from stigmer_packaging.errors import SourceError
from stigmer_packaging.tools.locks import Pin, parse_lock, require_hashes

PIP, UV, POETRY = "requirements.lock", "uv.lock", "poetry.lock"
ROOTS = (".", "")
Package = Mapping[str, Any]
Way = frozenset[str]
"""The markers that must all hold for one way from the project to a package."""


@dataclass(frozen=True)
class Locked:
    """What a project runs with: distributions by version and hash, and folders of its own source tree.

    The folders are relative to the project, and may lie beside it. `name` is the lock file's.
    """

    pins: tuple[Pin, ...]
    folders: tuple[str, ...] = ()
    name: str = ""


def read_project_lock(project: Path) -> Locked:
    """Read a project's lock, pip's before uv's before Poetry's; SourceError when there is none, or it is not whole.

    Only what the project needs to run is taken: no group of development, no extra that it does not ask for.
    """
    readers = {PIP: lambda text: Locked(parse_lock(text)), UV: parse_uv_lock, POETRY: parse_poetry_lock}
    for name, read in readers.items():
        if (project / name).is_file():
            try:
                return replace(read((project / name).read_text(encoding="utf-8")), name=name)
            except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
                raise SourceError(f"{project / name} is no lock we can read: {error!r}") from error
    raise SourceError(f"{project} has no lock: neither {PIP} nor {UV} nor {POETRY}")


def parse_poetry_lock(text: str) -> Locked:
    """Read a poetry.lock: the packages of the group `main`, under the markers Poetry has worked out."""
    document = tomllib.loads(text)
    version = document["metadata"]["lock-version"]
    if not version.startswith("2.") or version == "2.0":
        raise SourceError(f"poetry.lock has the lock-version {version}", "lock again with Poetry 2: poetry lock")
    pins, folders = [], []
    for package in document["package"]:
        if "main" not in package["groups"] or package["optional"]:
            continue
        source = package.get("source", {})
        if source.get("type") == "directory":
            folders.append(source["url"])
            continue
        _refuse_foreign(package["name"], source.get("type", "legacy"))
        marker = package.get("markers", "")
        marker = marker.get("main", "") if isinstance(marker, Mapping) else marker
        pins.append(_pin(package, marker, [(file["file"], file["hash"]) for file in package["files"]]))
    return Locked(require_hashes(pins), tuple(sorted(folders)))


def parse_uv_lock(text: str) -> Locked:
    """Read a uv.lock: what is reached from the project, under the markers on the ways there."""
    document = tomllib.loads(text)
    if document["version"] != 1:
        raise SourceError(f"uv.lock has version {document['version']}, and this reads 1")
    packages: list[Package] = document["package"]
    root = next(package for package in packages if _folder_of(package) in ROOTS)
    pins, folders = [], []
    for package, ways in _reached(root, packages):
        if (folder := _folder_of(package)) is not None:
            folders.append(folder)
            continue
        _refuse_foreign(package["name"], next(iter(package["source"])))
        wheels = [(".whl", file["hash"]) for file in package.get("wheels", [])]
        source = [("", package["sdist"]["hash"])] if "sdist" in package else []
        pins.append(_pin(package, _marker_of(ways), [*wheels, *source]))
    pins.sort(key=lambda pin: (pin.name, pin.version))
    return Locked(require_hashes(pins), tuple(sorted(folders)))


def _folder_of(package: Package) -> str | None:
    source = package["source"]
    return next((source[kind] for kind in ("virtual", "editable", "directory") if kind in source), None)


def _reached(root: Package, packages: Sequence[Package]) -> Iterator[tuple[Package, set[Way]]]:
    """Yield each package the root leads to, with the ways there.

    An extra is a place of its own beside its package. A way that includes a known one adds nothing, and is not gone.
    """
    ways: dict[tuple[int, str], set[Way]] = {}
    waiting: list[tuple[Package, Way]] = [(edge, frozenset()) for edge in root.get("dependencies", [])]
    while waiting:
        edge, before = waiting.pop()
        index = _target_of(edge, packages)
        way = before | ({edge["marker"]} if "marker" in edge else set())
        for extra in ("", *edge.get("extra", [])):
            known = ways.setdefault((index, extra), set())
            if not any(other <= way for other in known):
                ways[index, extra] = {other for other in known if not way <= other} | {way}
                waiting += [(one, way) for one in _edges_of(packages[index], extra)]
    for index, package in enumerate(packages):
        if found := set[Way]().union(*(ways[place] for place in ways if place[0] == index)):
            yield package, found


def _edges_of(package: Package, extra: str) -> Sequence[Package]:
    edges: Sequence[Package] = (
        package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
    )
    return edges


def _target_of(edge: Package, packages: Sequence[Package]) -> int:
    """Find the package an edge leads to: by its name, and by its version where there are several."""
    wanted = edge.get("version")
    for index, package in enumerate(packages):
        if package["name"] == edge["name"] and wanted in {None, package.get("version")}:
            return index
    raise SourceError(f"uv.lock names {edge['name']} and does not lock it", "lock again: uv lock")


def _marker_of(ways: set[Way]) -> str:
    """Give the marker under which one of the ways is open; nothing when one always is."""
    if frozenset[str]() in ways:
        return ""
    options = sorted(" and ".join(f"({marker})" for marker in sorted(way)) for way in ways)
    return " or ".join(f"({option})" for option in options)


def _refuse_foreign(name: str, source: str) -> None:
    if source not in {"registry", "legacy"}:  # the latter is Poetry's word for an index that is named
        raise SourceError(
            f"the lock takes {name} from a source of the kind {source!r}, which has no hash",
            f"take {name} from a package index, or put it into the source tree and depend on its folder",
        )


def _pin(package: Package, marker: str, files: Sequence[tuple[str, str]]) -> Pin:
    """Give the pin of a package; `files` are the names and hashes of its files."""
    hashes = tuple(sorted({checksum for _, checksum in files}))
    source_only = bool(files) and not any(name.endswith(".whl") for name, _ in files)
    name, parsed = canonicalize_name(package["name"]), Marker(marker) if marker else None
    return Pin(name, package["version"], parsed, hashes, source_only=source_only)
