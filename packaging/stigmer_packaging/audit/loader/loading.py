"""Which libraries a file is loaded with: the common part of ld.so and dyld, and the bundles that PyInstaller builds.

PyInstaller's program sets the library search path to its bundle directory, then loads the Python library from there,
whose symbols all modules can use. Later it loads the modules, each with the libraries that the module needs.
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
"""The versions in which one library has each symbol."""

Code = TypeVar("Code", Elf, MachO)
_LISTS = Path(__file__).with_name("symbols")
_BUNDLE_MARK = "base_library.zip"
_OWN = re.compile(r"\$ORIGIN|\$\{ORIGIN\}|@loader_path|@executable_path")


def expand(path: str, text: str) -> str | None:
    """Return the directory below the keg of a search path of the file at `path`, or None if it is outside the keg."""
    own = _OWN.match(text)
    if own is None or text[own.end() : own.end() + 1] not in {"", "/"}:
        return None
    folder = join(posixpath.dirname(path), text[own.end() :].lstrip("/") or ".")
    return None if folder.split("/")[0] == ".." else folder


@cache
def system_symbols(target: Target) -> Mapping[str, Versions]:
    """Return the symbols of each listed system library of a platform, with their versions.

    One list has the symbols that a system has on both architectures; one list per architecture has the rest. A line is
    a library, a version and symbols; for macOS, the version is the first with these symbols, or `0` if unknown.
    `tests/support/system_symbols.py` generates the lists from the stubs that zig 0.17 links with for glibc 2.28, 2.33
    and 2.43, and from Apple's libSystem.tbd and the availability attributes in its headers.
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

    `path` is below the keg, or starts with `/` for a system library; it is empty if the library is not found. The
    symbols of a `reexported` library count as the file's own.
    """

    name: str
    path: str
    optional: bool = False
    reexported: bool = False


class Bundle(NamedTuple):
    """A PyInstaller bundle: its directory, and the paths of its program and Python library, empty if it has none."""

    folder: str
    program: str
    python: str


class Loading(ABC, Generic[Code]):
    """A bottle's native code as one system's loader sees it: `codes` maps paths to code for its architecture."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.lists = system_symbols(subject.target)
        found = ((path, self.choose(content)) for path, content in subject.contents.files.items())
        self.codes: dict[str, Code] = {path: code for path, code in found if code}

    @abstractmethod
    def choose(self, content: Content) -> Code | None:
        """Return the file's code for the bottle's architecture, or None if it has none."""

    @abstractmethod
    def libraries(self, path: str) -> Iterator[Library]:
        """Yield the libraries that a file itself needs, in its order."""

    @abstractmethod
    def undefined(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield each undefined symbol of a file with the reason why it is not found."""

    def unchecked(self) -> Iterator[tuple[str, str]]:
        """Yield (library, symbol) for each symbol that is bound to a system library without a list."""
        yield from ()

    def find(self, path: str | None) -> str:
        """Return the path of the loadable file that `path` resolves to through links, or an empty string."""
        entry = self.subject.contents.resolve(path) if path is not None else None
        resolved = (entry and entry.path) or ""
        return resolved if resolved in self.codes else ""

    @cached_property
    def bundles(self) -> Mapping[str, Bundle]:
        """The PyInstaller bundles by directory."""
        files = self.subject.contents.files
        marks = (file for file in map(PurePosixPath, files) if file.name == _BUNDLE_MARK)
        found = {folder: Bundle(folder, "", "") for folder in (str(mark.parent) for mark in marks)}
        for path, content in files.items():
            if content.bootloader and path in self.codes:
                folder = join(posixpath.dirname(path), content.bootloader.contents)
                found[folder] = Bundle(folder, path, join(folder, content.bootloader.python))
        return found

    def bundle_of(self, path: str) -> Bundle:
        """Return the bundle whose program or module a file is, or a Bundle of empty strings if it is in none."""
        folders = map(str, PurePosixPath(path).parents)
        inside = (self.bundles[folder] for folder in folders if folder in self.bundles)
        own = (bundle for bundle in self.bundles.values() if bundle.program == path)
        return next(own, next(inside, Bundle("", "", "")))

    def scope(self, path: str) -> tuple[str, ...]:
        """Return everything loaded with a file, in breadth-first order: the scope of its symbol lookups."""
        bundle = self.bundle_of(path)
        scope = [first for first in dict.fromkeys((bundle.program, bundle.python, path)) if first in self.codes]
        for loaded in scope:
            needed = self.libraries(loaded) if loaded in self.codes else ()
            paths = dict.fromkeys(library.path for library in needed if library.path)
            scope += [each for each in paths if each not in scope]
        return tuple(scope)
