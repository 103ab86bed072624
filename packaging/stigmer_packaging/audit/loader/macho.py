"""dyld: where it finds libraries, and in which of them it looks up a symbol. Source: dyld(1) and dyld's source code."""

import re
from collections.abc import Iterator

from stigmer_packaging.audit.contents import Content, join
from stigmer_packaging.audit.loader.loading import Library, Loading, expand
from stigmer_packaging.audit.platforms import parse_version, promised_macos, render_version
from stigmer_packaging.binaries.macho import MAIN_PROGRAM, SELF, WEAK_DEFINITION, Bind, MachO

_SYSTEM = re.compile(
    r"/usr/lib/(libSystem\.B|libresolv\.9|libobjc\.A|libc\+\+(abi)?(\.1)?|libz\.1|libiconv\.2|libffi|libbz2\.1\.0|"
    r"libncurses\.5\.4|libpanel\.5\.4|libedit\.3|libsqlite3|libxml2\.2)\.dylib|"
    r"/usr/lib/swift/\w+\.dylib|/System/Library/Frameworks/[\w./]+"
)
"""macOS's public libraries and frameworks. Most exist only in dyld's shared cache, not on disk."""


class MachOLoading(Loading[MachO]):
    """Slices for the bottle's architecture, as dyld loads them with no DYLD_* variable set."""

    def choose(self, content: Content) -> MachO | None:
        """Return the slice for the bottle's architecture, or None if there is none."""
        own = self.subject.target.architecture
        return next((each for each in content.machos if each.architecture == own), None)

    def libraries(self, path: str) -> Iterator[Library]:
        """Yield each needed library; a name with @rpath is searched for in the file's rpaths, then its program's."""
        for name, optional, reexported in self.codes[path].libraries:
            found = name if _SYSTEM.fullmatch(name) else self._resolve(path, name)
            yield Library(name, found, optional, reexported)

    def undefined(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the symbols that are not where the file binds them, usually in one library, each with the reason."""
        libraries = tuple(self.libraries(path))
        for bind in sorted(self.codes[path].binds):
            if not bind.weak and (reason := self._reason(path, bind, libraries)):
                yield bind.name, reason

    def unchecked(self) -> Iterator[tuple[str, str]]:
        """Yield (library, symbol) for each symbol that is bound to a system library without a list."""
        for path in self.codes:
            libraries = tuple(self.libraries(path))
            for bind in self.codes[path].binds:
                if 0 < bind.ordinal <= len(libraries) and self._is_unlisted(libraries[bind.ordinal - 1].path):
                    yield libraries[bind.ordinal - 1].path, bind.name

    def _reason(self, path: str, bind: Bind, libraries: tuple[Library, ...]) -> str:
        """Return why a symbol is not found, or an empty string if it is found or cannot be checked."""
        if bind.ordinal > len(libraries):
            return f"bound to library {bind.ordinal}, but it links only {len(libraries)}"
        if bind.ordinal > 0:
            return self._reason_in(libraries[bind.ordinal - 1], bind.name)
        searched = self._searched(path, bind.ordinal)
        if any(self._has(each, bind.name) for each in searched):
            return ""
        if bind.ordinal == WEAK_DEFINITION and any(map(self._is_unlisted, searched)):  # such as C++'s `operator new`
            return ""
        return {SELF: "not in the file itself", MAIN_PROGRAM: "not in its main program"}.get(
            bind.ordinal, "not in any library loaded with it"
        )

    def _reason_in(self, library: Library, name: str) -> str:
        if not library.path or self._is_unlisted(library.path):
            return ""
        if not self._has(library.path, name):
            return f"not in {library.name}"
        since = max(self.lists.get(library.path, {}).get(name, ("0",)), key=parse_version)
        promised = promised_macos(self.subject)
        if parse_version(since) > promised:
            return f"in {library.name} only since macOS {since}, but the bottle promises {render_version(promised)}"
        return ""

    def _searched(self, path: str, ordinal: int) -> tuple[str, ...]:
        if ordinal == SELF:
            return (path,)
        return (self.bundle_of(path).program or path,) if ordinal == MAIN_PROGRAM else self.scope(path)

    def _has(self, library: str, name: str) -> bool:
        """Whether a library exports a symbol, itself or through a library that it re-exports."""
        reached = [library]
        for each in reached:
            own = self.codes.get(each)
            if name in (own.exports if own else self.lists.get(each, {})):
                return True
            needed = self.libraries(each) if own else ()
            reached += [one.path for one in needed if one.reexported and one.path and one.path not in reached]
        return False

    def _is_unlisted(self, library: str) -> bool:
        return library.startswith("/") and library not in self.lists

    def _resolve(self, path: str, name: str) -> str:
        """Return the path below the keg at which dyld finds a library, or an empty string if it does not."""
        program = self.bundle_of(path).program
        if not name.startswith("@rpath/"):
            return self.find(expand(program if name.startswith("@executable_path") and program else path, name))
        chain = [(path, text) for text in self.codes[path].search]
        chain += [(program, text) for text in self.codes[program].search] if program else []
        folders = (expand(program if "@executable" in text and program else owner, text) for owner, text in chain)
        found = (self.find(join(folder, name.removeprefix("@rpath/"))) for folder in folders if folder is not None)
        return next(filter(None, found), "")
