"""Loader simulation: every library that a file needs is found, and every symbol in the library that will provide it.

A program that cannot be tried here, because it is for another platform, is looked at as the system's loader would.
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
    "the loader refuses to start it on a machine that happens not to have this library",
    "bundle the library beside it with a search path relative to the file, or build without it",
)
def _needed(subject: Subject) -> Iterator[Violation]:
    loading = _loading(subject)
    for path in loading.codes:
        for library in loading.libraries(path):
            if not library.place and not library.optional:
                yield Violation(path, f"it needs {library.name}, found neither in the keg nor among the system's own")


@check(
    "undefined-symbol",
    "the loader refuses the file, or ends the program when it first calls the symbol",
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
    "there is no list of what these libraries of the system have, so it is not known whether they have all of it",
    "try the bottle on the oldest system that is promised",
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
    "the folder means something on the build host only, and whoever owns it elsewhere owns our process",
    "link with $ORIGIN or @loader_path, or remove the path with patchelf or install_name_tool",
)
def _search_path(subject: Subject) -> Iterator[Violation]:
    searches = [(path, elf.search) for path, elf in elves(subject)]
    searches += [(path, macho.search) for path, macho in machos(subject)]
    for path, search in searches:
        for folder in search:
            if folder != "/usr/lib/swift" and expand(path, folder) is None:
                yield Violation(path, f"it looks for libraries in {folder or 'the current directory'}")


@check(
    "library-identity",
    "brew rewrites such a name when it fixes a keg and signs the file anew, so that it is not the released one",
    "name the library @rpath/NAME with `install_name_tool -id`, and sign it after that",
)
def _library_identity(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        if macho.identity and not macho.identity.startswith(("@rpath/", "@loader_path/", "@executable_path/")):
            yield Violation(path, f"its own name is {macho.identity}")
