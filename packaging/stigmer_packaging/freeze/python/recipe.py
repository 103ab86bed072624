"""The recipe of the frozen CPython: read from packaging/python/ for one target, with all its problems at once."""

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
"""The files that people write; the folders beside them hold what goes into a build as it is."""

FOLDERS = ("tools", "macos")
_SELECTORS = {*SYSTEMS, *ARCHITECTURES, *(f"{system}-{each}" for system in SYSTEMS for each in ARCHITECTURES)}
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


@dataclass(frozen=True)
class Platform:
    """What the compiler makes: zig's name of the target, the oldest system, GNU's name, Debian's name of the libraries."""

    zig: str
    host: str
    floor: str
    multiarch: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """One of Debian's source packages: the upstream archive and Debian's, by path on a mirror and sha256, in this order.

    `patches` are those of Debian's that are applied; `licence` is an SPDX expression; `modules` are the extension modules
    that it is linked into, none for what is a library of its own.
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
    """How OpenSSL is configured, and its libraries: the link's name by which they are linked to, and their own."""

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
    """How CPython is configured and made; see cpython.toml for the fields."""

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
    """Everything that decides what a target's CPython is. `texts` are the files beside the recipe, by their paths."""

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
        """Give the sha256 of all of it."""
        return digest.sha256_of_value(asdict(self))

    @property
    def version(self) -> str:
        """Give CPython's version, such as `3.13.5`."""
        return self.find_source(self.cpython.source).version.partition("-")[0]

    @property
    def major_minor(self) -> str:
        """Give the part of the version that names files, such as `3.13`."""
        return ".".join(self.version.split(".")[:2])

    def find_source(self, name: str) -> Source:
        """Give a source by its name."""
        return next(source for source in self.source if source.name == name)


def read_recipe(folder: Path, target: Target) -> Recipe:
    """Read the recipe for a target; RecordError names what is wrong with it."""
    plain: dict[str, Any] = {}
    try:
        for name in TEXTS:
            plain |= _merge(plain, tomllib.loads((folder / name).read_text(encoding="utf-8")))
        given = select(plain, target) | {"target": list(target), "texts": read_texts(folder)}
        recipe = _CONVERTER.structure(given, Recipe)
    except (OSError, ValueError) as error:
        raise _error(folder, [str(error)]) from error
    except cattrs.BaseValidationError as error:
        raise _error(folder, cattrs.transform_error(error, path="recipe")) from error
    if problems := list(find_problems(recipe)):
        raise _error(folder, problems)
    return recipe


def read_texts(folder: Path) -> dict[str, str]:
    """Read the files that go into a build as they are."""
    paths = (path for name in FOLDERS for path in sorted((folder / name).rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def select(value: Any, target: Target) -> Any:
    """Give a value as it is for a target: what stands below `on` for it is merged with what stands beside it.

    ValueError for what stands there for a target that does not exist.
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
        if held := special.get(selector):
            chosen = _merge(chosen, select(held, target))
    return chosen


def find_problems(recipe: Recipe) -> Iterator[str]:
    """Name what is wrong with a recipe that has all its fields."""
    names = [source.name for source in recipe.source]
    used = [library.source for library in recipe.library] + [recipe.openssl.source, recipe.cpython.source]
    yield from (f"the source {name} is there twice" for name in sorted(set(names)) if names.count(name) > 1)
    yield from (f"there is no source {name}" for name in sorted(set(used) - {*names, AMALGAMATION}))
    for source in recipe.source:
        yield from (f"{source.name}: {problem}" for problem in _problems_of_source(source))
    pins = recipe.toolchain.sha256.items()
    yield from (f"toolchain: {name} has no sha256" for name, sha256 in pins if not _is_sha256(sha256))
    if not recipe.prefix.startswith("/"):
        yield f"the prefix {recipe.prefix} is no absolute path"
    if not re.fullmatch(r"\d+(\.\d+)+", recipe.platform.floor):
        yield f"the floor {recipe.platform.floor!r} is no version"


AMALGAMATION = "sqlite-amalgamation"
"""The folder of SQLite's one file, which is made of the source `sqlite` and compiled as a source of its own."""


def _problems_of_source(source: Source) -> Iterator[str]:
    if len(source.files) != 2:
        yield "there must be two files, the upstream archive and Debian's"
    for path, sha256 in source.files.items():
        if not path.startswith("pool/") or ".." in path:
            yield f"{path} is no path on a mirror"
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
