"""Libraries: each one needed is in the keg or on the short list of the system's own, and is looked for in the keg only.

A program finds libraries by what stands in it. A library in a folder that PyInstaller fills is loaded by a program
that has put that folder into the search path, so that it finds what lies at the folder's top as well.
"""

import posixpath
import re
from collections.abc import Iterator

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation
from stigmer_packaging.audit.contents import join
from stigmer_packaging.audit.platforms import elves, machos
from stigmer_packaging.binaries.macho import MachO

_LINUX = re.compile(
    r"(libc|libm)\.so\.6|(libpthread|librt)\.so\.[01]|libdl\.so\.2|libutil\.so\.1|ld-linux-[\w-]+\.so\.\d"
)
"""glibc itself, which every system that brew runs on has."""

_MACOS = re.compile(
    r"/usr/lib/(libSystem\.B|libresolv\.9|libobjc\.A|libc\+\+(abi)?(\.1)?|libz\.1|libiconv\.2|libffi|libbz2\.1\.0|"
    r"libncurses\.5\.4|libpanel\.5\.4|libedit\.3|libsqlite3|libxml2\.2)\.dylib|"
    r"/usr/lib/swift/\w+\.dylib|/System/Library/Frameworks/[\w./]+"
)
"""macOS's public libraries and frameworks. Most are in dyld's cache only, so they cannot be looked for on disk."""

_BUNDLE_MARK = "base_library.zip"
_OWN = re.compile(r"\$ORIGIN|\$\{ORIGIN\}|@loader_path|@executable_path")


def _needed(subject: Subject) -> Iterator[Violation]:
    for path, elf in elves(subject):
        folders = _folders(subject, path, elf.search, program=bool(elf.interpreter))
        for name in elf.needed:
            if not _LINUX.fullmatch(name) and not _is_in(subject, folders, name):
                yield Violation(path, f"it needs {name}, found neither in the keg nor among the system's own")
    for path, macho in machos(subject):
        for name in macho.needed:
            if not _MACOS.fullmatch(name) and not _is_loaded(subject, path, macho, name):
                yield Violation(path, f"it needs {name}, found neither in the keg nor among the system's own")


def _search_path(subject: Subject) -> Iterator[Violation]:
    searches = [(path, elf.search) for path, elf in elves(subject)]
    searches += [(path, macho.search) for path, macho in machos(subject)]
    for path, search in searches:
        for folder in search:
            if folder != "/usr/lib/swift" and _expand(path, folder) is None:
                yield Violation(path, f"it looks for libraries in {folder or 'the current directory'}")


def _library_identity(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        if macho.identity and not macho.identity.startswith(("@rpath/", "@loader_path/", "@executable_path/")):
            yield Violation(path, f"its own name is {macho.identity}")


def _folders(subject: Subject, path: str, search: tuple[str, ...], *, program: bool) -> tuple[str, ...]:
    """Give the folders below the keg in which a file's libraries are looked for."""
    expanded = [folder for text in search if (folder := _expand(path, text)) is not None]
    bundle = None if program else _bundle(subject, path)
    return (*expanded, *([] if bundle is None else [bundle]))


def _expand(path: str, text: str) -> str | None:
    """Give the folder below the keg that a search path means for the file at `path`; None when it leads elsewhere."""
    own = _OWN.match(text)
    if own is None or text[own.end() : own.end() + 1] not in {"", "/"}:
        return None
    folder = join(posixpath.dirname(path), text[own.end() :].lstrip("/") or ".")
    return None if folder.split("/")[0] == ".." else folder


def _bundle(subject: Subject, path: str) -> str | None:
    """Give the folder filled by PyInstaller in which a file lies."""
    folder = posixpath.dirname(path)
    while folder:
        if f"{folder}/{_BUNDLE_MARK}" in subject.contents.files:
            return folder
        folder = posixpath.dirname(folder)
    return None


def _is_in(subject: Subject, folders: tuple[str, ...], name: str) -> bool:
    return "/" not in name and any(subject.contents.resolve(join(folder, name)) for folder in folders)


def _is_loaded(subject: Subject, path: str, macho: MachO, name: str) -> bool:
    """Whether a library named as dyld names it is in the keg."""
    if name.startswith("@rpath/"):
        folders = _folders(subject, path, macho.search, program=macho.kind == "EXECUTE")
        return any(subject.contents.resolve(join(folder, name.removeprefix("@rpath/"))) for folder in folders)
    place = _expand(path, name)
    return place is not None and subject.contents.resolve(place) is not None


CHECKS = (
    Check(
        "needed-library",
        ERROR,
        "the loader refuses to start it on a machine that happens not to have this library",
        "bundle the library beside it with a search path relative to the file, or build without it",
        _needed,
    ),
    Check(
        "search-path",
        ERROR,
        "the folder means something on the build host only, and whoever owns it elsewhere owns our process",
        "link with $ORIGIN or @loader_path, or remove the path with patchelf or install_name_tool",
        _search_path,
    ),
    Check(
        "library-identity",
        ERROR,
        "brew rewrites such a name when it fixes a keg and signs the file anew, so that it is not the released one",
        "name the library @rpath/NAME with `install_name_tool -id`, and sign it after that",
        _library_identity,
    ),
)
