"""dyld: where it finds libraries, and in which of them it looks for a symbol. Source: dyld's manual and open source."""

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
"""macOS's public libraries and frameworks. Most are in dyld's cache only, so they cannot be looked for on disk."""


class MachOLoading(Loading[MachO]):
    """Slices for the bottle's architecture, loaded as dyld would without any variable of its own set."""

    def choose(self, content: Content) -> MachO | None:
        """Give the slice for the bottle's architecture."""
        own = self.subject.target.architecture
        return next((each for each in content.machos if each.architecture == own), None)

    def libraries(self, path: str) -> Iterator[Library]:
        """Take a name as it is; one that begins with @rpath, from the file's search paths and then its program's."""
        for name, optional, reexported in self.codes[path].libraries:
            place = name if _SYSTEM.fullmatch(name) else self._place(path, name)
            yield Library(name, place, optional, reexported)

    def undefined(self, path: str) -> Iterator[tuple[str, str]]:
        """Give the symbols that are not in the very library that the file names for each."""
        libraries = tuple(self.libraries(path))
        for bind in sorted(self.codes[path].binds):
            if not bind.weak and (reason := self._reason(path, bind, libraries)):
                yield bind.name, reason

    def unchecked(self) -> Iterator[tuple[str, str]]:
        """Give what is looked for in libraries of the system of which there is no list."""
        for path in self.codes:
            libraries = tuple(self.libraries(path))
            for bind in self.codes[path].binds:
                if 0 < bind.ordinal <= len(libraries) and self._is_unlisted(libraries[bind.ordinal - 1].place):
                    yield libraries[bind.ordinal - 1].place, bind.name

    def _reason(self, path: str, bind: Bind, libraries: tuple[Library, ...]) -> str:
        """Say why a symbol is not found, nothing when it is, or when that cannot be known."""
        if bind.ordinal > len(libraries):
            return f"from library {bind.ordinal} of the {len(libraries)} that it names"
        if bind.ordinal > 0:
            return self._reason_in(libraries[bind.ordinal - 1], bind.name)
        places = self._places_of(path, bind.ordinal)
        if any(self._has(place, bind.name) for place in places):
            return ""
        if bind.ordinal == WEAK_DEFINITION and any(map(self._is_unlisted, places)):  # such as C++'s `operator new`
            return ""
        return {SELF: "not in itself", MAIN_PROGRAM: "not in its program"}.get(
            bind.ordinal, "not in any library that is loaded with it"
        )

    def _reason_in(self, library: Library, name: str) -> str:
        if not library.place or self._is_unlisted(library.place):
            return ""
        if not self._has(library.place, name):
            return f"not in {library.name}"
        since = max(self.lists.get(library.place, {}).get(name, ("0",)), key=parse_version)
        promised = promised_macos(self.subject)
        if parse_version(since) > promised:
            return f"in {library.name} from macOS {since} on, and {render_version(promised)} is promised"
        return ""

    def _places_of(self, path: str, ordinal: int) -> tuple[str, ...]:
        if ordinal == SELF:
            return (path,)
        return (self.bundle_of(path).program or path,) if ordinal == MAIN_PROGRAM else self.scope(path)

    def _has(self, place: str, name: str) -> bool:
        """Whether a library exports a symbol, itself or by another that it passes on."""
        reached = [place]
        for each in reached:
            own = self.codes.get(each)
            if name in (own.exports if own else self.lists.get(each, {})):
                return True
            passed_on = self.libraries(each) if own else ()
            reached += [one.place for one in passed_on if one.reexported and one.place and one.place not in reached]
        return False

    def _is_unlisted(self, place: str) -> bool:
        return place.startswith("/") and place not in self.lists

    def _place(self, path: str, name: str) -> str:
        """Give the path below the keg of a library as dyld finds it, empty when it does not."""
        program = self.bundle_of(path).program
        if not name.startswith("@rpath/"):
            return self.find(expand(program if name.startswith("@executable_path") and program else path, name))
        chain = [(path, text) for text in self.codes[path].search]
        chain += [(program, text) for text in self.codes[program].search] if program else []
        folders = (expand(program if "@executable" in text and program else owner, text) for owner, text in chain)
        found = (self.find(join(folder, name.removeprefix("@rpath/"))) for folder in folders if folder is not None)
        return next(filter(None, found), "")
