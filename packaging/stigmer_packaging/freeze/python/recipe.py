"""Reads the recipe of the frozen CPython in packaging/python/ for one target, and reports all problems at once."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cattrs

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.lib.target import ARCHITECTURES, SYSTEMS, Target
from stigmer_packaging.manifest.model import WheelPin

TEXTS = ("recipe.toml", "libraries.toml", "cpython.toml")
"""The files of the recipe itself; FOLDERS contain files that a build uses unchanged."""

FOLDERS = ("tools", "macos")
_SELECTORS = {*SYSTEMS, *ARCHITECTURES, *(f"{system}-{each}" for system in SYSTEMS for each in ARCHITECTURES)}
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


@dataclass(frozen=True)
class Platform:
    """What to compile for: zig's and GNU's names of the target, the oldest glibc or macOS, Debian's multiarch name."""

    zig: str
    host: str
    floor: str
    multiarch: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """One of Debian's source packages: `files` maps the upstream archive and Debian's, in this order, to their sha256.

    Files are named by their path on a mirror. `patches` are those of Debian's patches that are applied; `licence` is an
    SPDX expression; `modules` are the extension modules that are linked with it, none for CPython itself.
    """

    name: str
    package: str
    version: str
    licence: str
    patches: tuple[str, ...]
    files: dict[str, str]
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Library:
    """A library that is compiled from a list of files; see libraries.toml for the fields."""

    name: str
    source: str
    files: tuple[str, ...]
    headers: tuple[str, ...]
    folder: str = ""
    without: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    include: str = ""
    config: str = ""
    defines: dict[str, str] = field(default_factory=dict)
    text: str = ""
    templates: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict)
    soname: str = ""


@dataclass(frozen=True)
class OpenSsl:
    """How OpenSSL is configured; `libraries` maps the name that the linker looks for to the name of the library."""

    source: str
    platform: str
    certificates: str
    options: tuple[str, ...]
    libraries: dict[str, str]


@dataclass(frozen=True)
class Edit:
    """A change of one file of a source, which must apply exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class CPython:
    """How CPython is configured and built; see cpython.toml for the fields."""

    source: str
    optimize: tuple[str, ...]
    compile: tuple[str, ...]
    link: tuple[str, ...]
    options: tuple[str, ...]
    make: tuple[str, ...]
    static: tuple[str, ...]
    absent: tuple[str, ...]
    foreign: tuple[str, ...]
    tests: tuple[str, ...]
    answers: dict[str, str]
    edit: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a target's CPython. `texts` are the contents of the files in FOLDERS, by path."""

    target: Target
    epoch: int
    prefix: str
    toolchain: WheelPin
    platform: Platform
    source: tuple[Source, ...]
    library: tuple[Library, ...]
    openssl: OpenSsl
    cpython: CPython
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 of the whole recipe, in hex."""
        return digest.sha256_of_value(asdict(self))

    @property
    def version(self) -> str:
        """CPython's version, such as `3.13.5`."""
        return self.find_source(self.cpython.source).version.partition("-")[0]

    @property
    def major_minor(self) -> str:
        """The part of the version in the names of files, such as `3.13`."""
        return ".".join(self.version.split(".")[:2])

    def find_source(self, name: str) -> Source:
        """Return a source by its name."""
        return next(source for source in self.source if source.name == name)


def read_recipe(folder: Path, target: Target) -> Recipe:
    """Read the recipe for a target; RecordError lists its problems."""
    plain: dict[str, Any] = {}
    try:
        for name in TEXTS:
            plain |= _merge(plain, tomllib.loads((folder / name).read_text(encoding="utf-8")))
        values = select(plain, target) | {"target": list(target), "texts": read_texts(folder)}
        recipe = _CONVERTER.structure(values, Recipe)
    except (OSError, ValueError) as error:
        raise _error(folder, [str(error)]) from error
    except cattrs.BaseValidationError as error:
        raise _error(folder, cattrs.transform_error(error, path="recipe")) from error
    if problems := list(find_problems(recipe)):
        raise _error(folder, problems)
    return recipe


def read_texts(folder: Path) -> dict[str, str]:
    """Return the contents of the files that a build uses unchanged, by path."""
    paths = (path for name in FOLDERS for path in sorted((folder / name).rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def select(value: Any, target: Target) -> Any:
    """Return a value for a target: merge the entries below `on` that are for it with those beside `on`.

    ValueError if `on` has an entry for an unknown target.
    """
    if isinstance(value, list):
        return [select(each, target) for each in value]
    if not isinstance(value, dict):
        return value
    chosen = {key: select(each, target) for key, each in value.items() if key != "on"}
    special = value.get("on", {})
    if unknown := sorted(special.keys() - _SELECTORS):
        raise ValueError(f"there is no target `on.{unknown[0]}`")
    for selector in (target.system, target.architecture, str(target)):
        if extra := special.get(selector):
            chosen = _merge(chosen, select(extra, target))
    return chosen


def find_problems(recipe: Recipe) -> Iterator[str]:
    """Yield the problems of a recipe that has all fields."""
    names = [source.name for source in recipe.source]
    used = [library.source for library in recipe.library] + [recipe.openssl.source, recipe.cpython.source]
    yield from (f"the source {name} is defined twice" for name in sorted(set(names)) if names.count(name) > 1)
    yield from (f"there is no source {name}" for name in sorted(set(used) - {*names, AMALGAMATION}))
    for source in recipe.source:
        yield from (f"{source.name}: {problem}" for problem in _problems_of_source(source))
    pins = recipe.toolchain.sha256.items()
    yield from (f"toolchain: {name} has no sha256" for name, sha256 in pins if not _is_sha256(sha256))
    if not recipe.prefix.startswith("/"):
        yield f"the prefix {recipe.prefix} is not an absolute path"
    if not re.fullmatch(r"\d+(\.\d+)+", recipe.platform.floor):
        yield f"the floor {recipe.platform.floor!r} is not a version"


AMALGAMATION = "sqlite-amalgamation"
"""The name of SQLite's amalgamation as a source: it is generated from the source `sqlite`, and compiled instead."""


def _problems_of_source(source: Source) -> Iterator[str]:
    if len(source.files) != 2:
        yield "there must be two files, the upstream archive and Debian's"
    for path, sha256 in source.files.items():
        if not path.startswith("pool/") or ".." in path:
            yield f"{path} is not a path on a mirror"
        if not _is_sha256(sha256):
            yield f"{path} has no sha256"


def _is_sha256(text: str) -> bool:
    return bool(re.fullmatch("[0-9a-f]{64}", text))


def _merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for key, value in other.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = _merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            merged[key] = known + value
        else:
            merged[key] = value
    return merged


def _error(folder: Path, problems: list[str]) -> RecordError:
    lines = "".join(f"\n  {problem}" for problem in problems)
    return RecordError(f"the recipe of the frozen Python has problems:{lines}", f"correct {folder} as named")
