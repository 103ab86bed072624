"""Checks that a source tree contains the packages of all components, and suggests similar ones if not."""

import itertools
import operator
import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from stigmer_packaging.lib.errors import GateError, SourceError, raise_if_any
from stigmer_packaging.manifest.model import CheckoutSource, Component
from stigmer_packaging.sources.checkout import IGNORED
from stigmer_packaging.sources.freeze_table import read_freeze_table
from stigmer_packaging.sources.project_locks import read_project_lock

_MAIN = re.compile(r"^package main\b", re.MULTILINE)
_SUBMODULE = re.compile(r"^\s*path\s*=\s*(\S.*?)\s*$", re.MULTILINE)
_SUBMODULE_REMEDY = "run `git submodule update --init --recursive`, and pass the work tree without @REF"
_DEPTH = 6  # levels of folders in which a moved package is searched
_SHOWN = 12  # subfolders that a message lists
_SIMILAR = 3  # folders elsewhere that a message lists


def check_packages(tree: Path, components: Iterable[Component], name: str) -> None:
    """Raise SourceError with all problems, unless each component's package exists and can be built.

    `name` is the tree as the user specified it.
    """
    problems = (
        f"{part.name}: {problem}"
        for part in components
        if isinstance(part.source, CheckoutSource)
        for problem in _problems(tree, part.source, part.name)
    )
    remedy = "pass another tree with --checkout, or correct `package` of these components in the manifest"
    raise_if_any(SourceError, f"the source tree {name} does not contain what the manifest builds", problems, remedy)


def _problems(tree: Path, source: CheckoutSource, component: str) -> Iterator[str]:
    folder = tree / source.package
    if submodule := _empty_submodule(tree, source.package):
        yield f"the git submodule {submodule} is empty; {_SUBMODULE_REMEDY}"
    elif not folder.is_dir():
        yield f"there is no folder {source.package}; {_instead(tree, source.package, component)}"
    elif source.build == "go":
        if not _is_program(folder):
            nearby = _programs_near(tree, source.package, component)
            yield f"no Go file in {source.package} declares `package main`{nearby}"
    else:
        lock = str(source.freeze.get("lock", ""))
        settings = partial(read_freeze_table, folder, source.freeze, component=component)
        for read in (settings, partial(read_project_lock, folder, lock)):
            try:
                read()
            except (SourceError, GateError) as error:
                yield f"{error}; {error.remedy}" if error.remedy != type(error).remedy else str(error)


def _empty_submodule(tree: Path, package: str) -> str:
    """Return the submodule that contains a package if it is empty, as in the tree of a commit, else an empty string."""
    modules = tree / ".gitmodules"
    text = modules.read_text(encoding="utf-8", errors="replace") if modules.is_file() else ""
    for path in _SUBMODULE.findall(text):
        if PurePosixPath(package).is_relative_to(path) and not [*(tree / path).glob("*")]:
            return str(path)
    return ""


def _is_program(folder: Path) -> bool:
    sources = (file for file in folder.glob("*.go") if not file.name.endswith("_test.go"))
    return any(_MAIN.search(file.read_text(encoding="utf-8", errors="replace")) for file in sources)


def _programs_near(tree: Path, package: str, component: str) -> str:
    """Return a list of Go programs below the component's own folder or, without one, below the package's parent."""
    wanted = PurePosixPath(package)
    own = next((parent for parent in wanted.parents if parent.name == component), wanted.parent)
    folders = (own, *(own / path for path in _walk(tree / own)))
    found = [_shown(folder) for folder in folders if _is_program(tree / folder)]
    return f"; programs nearby: {', '.join(found[:_SIMILAR])}" if found else ""


def _instead(tree: Path, package: str, component: str) -> str:
    """Return a list of the subfolders where the path ends in the tree, and of folders with the same name elsewhere."""
    wanted = PurePosixPath(package)
    parent = next(each for each in wanted.parents if (tree / each).is_dir())
    here = f"{_shown(parent)} has {_list_folders(tree / parent)}"
    similar = _find_similar(tree, wanted, component)
    return f"{here}; similar: {', '.join(map(_shown, similar))}" if similar else here


def _find_similar(tree: Path, wanted: PurePosixPath, component: str) -> list[PurePosixPath]:
    """Return folders named like the wanted one or the component, those with the longest common path suffix first."""
    similar = [path for path in _walk(tree) if path.name in {wanted.name, component}]

    def distance(path: PurePosixPath) -> tuple[int, int, PurePosixPath]:
        same = map(operator.eq, reversed(path.parts), reversed(wanted.parts))
        return -sum(itertools.takewhile(bool, same)), len(path.parts), path

    return sorted(similar, key=distance)[:_SIMILAR]


def _walk(tree: Path) -> Iterator[PurePosixPath]:
    for place, folders, _ in os.walk(tree):
        relative = Path(place).relative_to(tree)
        folders[:] = _without_ignored(folders) if len(relative.parts) < _DEPTH else []
        yield from (PurePosixPath(relative / name) for name in folders)


def _list_folders(folder: Path) -> str:
    names = _without_ignored(path.name for path in folder.iterdir() if path.is_dir())
    more = ["…"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more]) or "no subfolder"


def _without_ignored(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name not in IGNORED and not name.startswith("."))


def _shown(path: PurePosixPath) -> str:
    return "." if path == PurePosixPath() else f"./{path}"
