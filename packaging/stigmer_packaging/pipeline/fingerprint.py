"""Digest of a stage's code: our own source files and the libraries they use. A change makes artefacts stale."""

import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.syntax import imported_names

ROOT = Path(__file__).parents[1]
LAUNCHER = ROOT.parents[1] / "launcher" / "stigmer_launcher"
HOMES = {"stigmer_packaging": ROOT, "stigmer_launcher": LAUNCHER}


@cache
def digest_of_code(*modules: str) -> str:
    """Return one sha256 of modules, those of ours they import (directly or not), their packages' data and libraries."""
    files = {path for module in modules for path in modules_behind(module).values()}
    data = {path for package in {file.parent for file in files} for path in data_of(package)}
    return digest.sha256_of_value([digest.sha256_of(path) for path in sorted(files | data)], libraries_of(files))


def libraries_of(files: set[Path]) -> list[tuple[str, str]]:
    """Return the installed distributions that modules import, with versions, such as the compressor of bottles."""
    imported = {name.partition(".")[0] for path in files for name in imported_names(path.read_text(encoding="utf-8"))}
    others = imported - sys.stdlib_module_names - HOMES.keys()
    found = {each for name in others for each in _distributions().get(name, ())}
    return sorted((each, metadata.version(each)) for each in found)


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def data_of(package: Path) -> list[Path]:
    """Return the data files of a package: files that are not code, and the files in folders that are not packages."""
    found: list[Path] = []
    for path in package.iterdir():
        if path.is_file() and path.suffix != ".py":
            found.append(path)
        elif path.is_dir() and not (path / "__init__.py").is_file():
            found += (file for file in path.rglob("*") if file.is_file())
    return [path for path in found if "__pycache__" not in path.parts]


def modules_behind(module: str) -> dict[str, Path]:
    """Map a module, and all of ours that it imports directly or not, to their files."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and (path := _file_of(name)):
            found[name] = path
            waiting += imported_names(path.read_text(encoding="utf-8"))
    return found


def _file_of(module: str) -> Path | None:
    package, *rest = module.split(".")
    if package not in HOMES:
        return None
    place = HOMES[package].joinpath(*rest)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
