"""Which libraries a file is loaded with: what ld.so and dyld have in common, and the bundles that PyInstaller makes.

PyInstaller's program loads a Python library from its folder for all modules to find symbols in, and has set the search
path for libraries to that folder before. A module is loaded by it later, with the libraries that the module needs.
"""

import posixpath
import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Generic, NamedTuple, TypeVar

from stigmer_packaging.audit.check import Subject
from stigmer_packaging.audit.contents import Content, join
from stigmer_packaging.binaries.elf import Elf
from stigmer_packaging.binaries.macho import MachO
from stigmer_packaging.lib.target import Target

Versions = Mapping[str, frozenset[str]]
"""The versions of each symbol of one library."""

Code = TypeVar("Code", Elf, MachO)
_LISTS = Path(__file__).with_name("symbols")
_BUNDLE_MARK = "base_library.zip"
_OWN = re.compile(r"\$ORIGIN|\$\{ORIGIN\}|@loader_path|@executable_path")


def expand(path: str, text: str) -> str | None:
    """Give the folder below the keg that a search path means for the file at `path`; None when it leads elsewhere."""
    own = _OWN.match(text)
    if own is None or text[own.end() : own.end() + 1] not in {"", "/"}:
        return None
    folder = join(posixpath.dirname(path), text[own.end() :].lstrip("/") or ".")
    return None if folder.split("/")[0] == ".." else folder


@cache
def system_symbols(target: Target) -> Mapping[str, Versions]:
    """Give the symbols of each library of a platform's system for which there is a list.

    One list has what a system has on both architectures, one for each architecture the rest. A line is a library, a
    version (for macOS the first that has the symbols, `0` when that is not known), and symbols. They are made by
    `tests/support/system_symbols.py` from the stubs that zig 0.17 links with for glibc 2.28, 2.33 and 2.43, and from
    Apple's libSystem.tbd and the availability in its headers.
    """
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name in (target.system, str(target)):
        for line in (_LISTS / f"{name}.txt").read_text(encoding="ascii").splitlines():
            library, version, *symbols = line.split(" ")
            for symbol in symbols:
                found[library][symbol].add(version)
    return {
        library: {name: frozenset(versions) for name, versions in symbols.items()} for library, symbols in found.items()
    }


class Library(NamedTuple):
    """A library that a file needs.

    `place` is its path below the keg, or begins with `/` when it is the system's; it is empty when it is found nowhere.
    `reexported`: its symbols count as the file's own.
    """

    name: str
    place: str
    optional: bool = False
    reexported: bool = False


class Bundle(NamedTuple):
    """A folder filled by PyInstaller, with the paths of its program and Python library, empty where there is none."""

    folder: str
    program: str
    python: str


class Loading(ABC, Generic[Code]):
    """Native code of a bottle, as one system's loader sees it: `codes` has what is for the bottle's architecture."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.lists = system_symbols(subject.target)
        found = ((path, self.choose(content)) for path, content in subject.contents.files.items())
        self.codes: dict[str, Code] = {path: code for path, code in found if code}

    @abstractmethod
    def choose(self, content: Content) -> Code | None:
        """Give what of a file is for the bottle's architecture."""

    @abstractmethod
    def libraries(self, path: str) -> Iterator[Library]:
        """Give the libraries that a file needs itself, in its order."""

    @abstractmethod
    def undefined(self, path: str) -> Iterator[tuple[str, str]]:
        """Give the symbols that a file cannot be loaded for the want of, each with where it is not."""

    def unchecked(self) -> Iterator[tuple[str, str]]:
        """Give the symbols that are looked for in a system's library without a list, each after the library."""
        yield from ()

    def find(self, path: str | None) -> str:
        """Follow links to a file that can be loaded; empty when there is none: a loader passes over any other."""
        entry = self.subject.contents.resolve(path) if path is not None else None
        found = (entry and entry.path) or ""
        return found if found in self.codes else ""

    @cached_property
    def bundles(self) -> Mapping[str, Bundle]:
        """The bundles by their folders."""
        files = self.subject.contents.files
        marks = (file for file in map(PurePosixPath, files) if file.name == _BUNDLE_MARK)
        found = {folder: Bundle(folder, "", "") for folder in (str(mark.parent) for mark in marks)}
        for path, content in files.items():
            if content.bootloader and path in self.codes:
                folder = join(posixpath.dirname(path), content.bootloader.contents)
                found[folder] = Bundle(folder, path, join(folder, content.bootloader.python))
        return found

    def bundle_of(self, path: str) -> Bundle:
        """Give the bundle whose program or module a file is, one without a folder when it is in none."""
        folders = map(str, PurePosixPath(path).parents)
        inside = (self.bundles[folder] for folder in folders if folder in self.bundles)
        own = (bundle for bundle in self.bundles.values() if bundle.program == path)
        return next(own, next(inside, Bundle("", "", "")))

    def scope(self, path: str) -> tuple[str, ...]:
        """Give all that is loaded when a file is, the nearest first: where symbols are looked for."""
        bundle = self.bundle_of(path)
        scope = [first for first in dict.fromkeys((bundle.program, bundle.python, path)) if first in self.codes]
        for loaded in scope:
            needed = self.libraries(loaded) if loaded in self.codes else ()
            places = dict.fromkeys(library.place for library in needed if library.place)
            scope += [place for place in places if place not in scope]
        return tuple(scope)
