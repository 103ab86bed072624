"""Checks by loader simulation: every library that a file needs is found, and every symbol in the library it binds to.

This finds load errors in programs for other platforms, which cannot be run here.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from stigmer_packaging.audit.check import INFORMATION, Subject, Violation, check
from stigmer_packaging.audit.loader.elf import ElfLoading
from stigmer_packaging.audit.loader.loading import expand
from stigmer_packaging.audit.loader.macho import MachOLoading
from stigmer_packaging.audit.platforms import elves, machos

_SHOWN = 5  # symbols named in a finding


def _loading(subject: Subject) -> ElfLoading | MachOLoading:
    return ElfLoading(subject) if subject.target.system == "linux" else MachOLoading(subject)


@check(
    "needed-library",
    "the loader refuses to load the file on a machine without this library",
    "bundle the library, with a search path relative to the file, or build without it",
)
def _needed(subject: Subject) -> Iterator[Violation]:
    loading = _loading(subject)
    for path in loading.codes:
        for library in loading.libraries(path):
            if not library.path and not library.optional:
                yield Violation(path, f"needs {library.name}, which is neither in the keg nor a system library")


@check(
    "undefined-symbol",
    "the loader refuses the file, or aborts the program when it first calls the symbol",
    "link the file with the library that has the symbol, or build it for an older system",
)
def _undefined(subject: Subject) -> Iterator[Violation]:
    loading = _loading(subject)
    for path in loading.codes:
        symbols: dict[str, list[str]] = defaultdict(list)
        for symbol, reason in loading.undefined(path):
            symbols[reason].append(symbol)
        yield from (Violation(path, f"{_listed(names)}: {reason}") for reason, names in symbols.items())


@check(
    "unchecked-symbols",
    "there is no symbol list for these system libraries, so it is unknown whether they have all of these symbols",
    "test the bottle on the oldest system that it promises to run on",
    severity=INFORMATION,
)
def _unchecked(subject: Subject) -> Iterator[Violation]:
    loading = _loading(subject)
    symbols: dict[str, set[str]] = defaultdict(set)
    for library, symbol in loading.unchecked():
        symbols[library].add(symbol)
    yield from (Violation("", f"{len(names)} symbols of {library}") for library, names in sorted(symbols.items()))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


@check(
    "search-path",
    "the folder is meant for the build host only; on other machines, whoever can write to it can inject code",
    "link with $ORIGIN or @loader_path, or remove the path with patchelf or install_name_tool",
)
def _search_path(subject: Subject) -> Iterator[Violation]:
    searches = [(path, elf.search) for path, elf in elves(subject)]
    searches += [(path, macho.search) for path, macho in machos(subject)]
    for path, search in searches:
        for folder in search:
            if folder != "/usr/lib/swift" and expand(path, folder) is None:
                yield Violation(path, f"searches for libraries in {folder or 'the current directory'}")


@check(
    "library-identity",
    "brew rewrites such a name when it fixes the keg's linkage, and re-signs the file, which then differs from ours",
    "set the name to @rpath/NAME with `install_name_tool -id`, then sign the library",
)
def _library_identity(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        if macho.identity and not macho.identity.startswith(("@rpath/", "@loader_path/", "@executable_path/")):
            yield Violation(path, f"its install name is {macho.identity}")
