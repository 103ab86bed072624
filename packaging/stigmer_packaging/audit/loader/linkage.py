"""Where files look for libraries: in the keg only, by names that brew leaves alone."""

import posixpath
import re
from collections.abc import Iterator

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation
from stigmer_packaging.audit.contents import join
from stigmer_packaging.audit.platforms import elves, machos

_OWN = re.compile(r"\$ORIGIN|\$\{ORIGIN\}|@loader_path|@executable_path")


def expand(path: str, text: str) -> str | None:
    """Give the folder below the keg that a search path means for the file at `path`; None when it leads elsewhere."""
    own = _OWN.match(text)
    if own is None or text[own.end() : own.end() + 1] not in {"", "/"}:
        return None
    folder = join(posixpath.dirname(path), text[own.end() :].lstrip("/") or ".")
    return None if folder.split("/")[0] == ".." else folder


def _search_path(subject: Subject) -> Iterator[Violation]:
    searches = [(path, elf.search) for path, elf in elves(subject)]
    searches += [(path, macho.search) for path, macho in machos(subject)]
    for path, search in searches:
        for folder in search:
            if folder != "/usr/lib/swift" and expand(path, folder) is None:
                yield Violation(path, f"it looks for libraries in {folder or 'the current directory'}")


def _library_identity(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        if macho.identity and not macho.identity.startswith(("@rpath/", "@loader_path/", "@executable_path/")):
            yield Violation(path, f"its own name is {macho.identity}")


CHECKS = (
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
