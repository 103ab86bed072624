"""ld.so: where it finds libraries, and which symbol versions it binds. Source: ld.so(8), glibc's dl-lookup.c."""

import posixpath
import re
from collections.abc import Iterator
from functools import cache

from stigmer_packaging.audit.contents import Content, join
from stigmer_packaging.audit.loader.loading import Library, Loading, expand
from stigmer_packaging.audit.platforms import LOADERS, parse_version
from stigmer_packaging.binaries.elf import Elf, Import, highest_glibc

_SYSTEM = re.compile(
    r"(libc|libm)\.so\.6|(libpthread|librt)\.so\.[01]|libdl\.so\.2|libutil\.so\.1|ld-linux-[\w-]+\.so\.\d"
)
"""glibc's own libraries, which every system that brew supports has."""


class ElfLoading(Loading[Elf]):
    """ELF files as ld.so loads them, with no search path set in the environment except by PyInstaller's program."""

    def choose(self, content: Content) -> Elf | None:
        """Return the file's ELF data if it is for the bottle's architecture."""
        own = content.elf and content.elf.architecture == self.subject.target.architecture
        return content.elf if own else None

    def libraries(self, path: str) -> Iterator[Library]:
        """Yield each needed library, searched for in RPATH, the bundle and RUNPATH, and then in the system."""
        elf, files = self.codes[path], self.subject.contents.files
        for name in elf.needed:
            folders = self._folders(path, elf) if "/" not in name else ()
            entries = (self.subject.contents.resolve(join(folder, name)) for folder in folders)
            found = [entry.path for entry in entries if entry and entry.path and entry.path in files]
            # ld.so skips a library for another processor, and fails at a file that is not ELF.
            first = next((each for each in found if each in self.codes or not files[each].elf), None)
            system = f"/{name}" if _SYSTEM.fullmatch(name) else ""
            yield Library(name, system if first is None else self.find(first))

    def undefined(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the symbols that nothing loaded with the file defines: loading it fails, or later the first call."""
        required = [each for each in self.codes[path].imports if not each.weak and not self._is_reported(each)]
        loader = f"/{posixpath.basename(LOADERS[self.subject.target.architecture])}"
        scope = (*self.scope(path), loader) if required else ()
        for symbol in required:
            if not any(self._has(library, symbol) for library in scope):
                shown = f"{symbol.name}@{symbol.version}" if symbol.version else symbol.name
                yield shown, f"not in {symbol.library or 'any library loaded with it'}"

    def _folders(self, path: str, elf: Elf) -> Iterator[str]:
        bundle = self.bundle_of(path).folder if not elf.interpreter else ""
        before, after = ((), elf.runpath) if elf.runpath else (elf.rpath, ())
        folders = [*(expand(path, text) for text in before), bundle or None, *(expand(path, text) for text in after)]
        yield from (folder for folder in folders if folder is not None)

    def _is_reported(self, symbol: Import) -> bool:
        """Whether the check glibc-private or glibc-floor already reports this symbol."""
        floor = self.subject.policy.glibc_floor
        newer = bool(floor) and highest_glibc([symbol.version]) > parse_version(floor)
        return newer or symbol.version == "GLIBC_PRIVATE"

    def _has(self, library: str, symbol: Import) -> bool:
        if library.startswith("/"):
            versions = self.lists.get(library[1:], {}).get(symbol.name, frozenset())
            return symbol.version in versions or (not symbol.version and bool(versions))
        if symbol.version:
            exports = self.codes[library].exports
            return (symbol.name, symbol.version) in exports or (symbol.name, "") in exports
        return symbol.name in _names(self.codes[library].exports)


@cache
def _names(exports: frozenset[tuple[str, str]]) -> frozenset[str]:
    return frozenset(name for name, _ in exports)
