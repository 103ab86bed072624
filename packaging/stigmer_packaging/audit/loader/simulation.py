"""Loader simulation: every library that a file needs is found, and every symbol in the library that will provide it.

A program that cannot be tried here, because it is for another platform, is looked at as the system's loader would.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from stigmer_packaging.audit.check import ERROR, INFORMATION, Check, Subject, Violation
from stigmer_packaging.audit.loader.elf import ElfLoading
from stigmer_packaging.audit.loader.loading import Loading
from stigmer_packaging.audit.loader.macho import MachOLoading

_SHOWN = 5  # symbols named in a finding


def _loading(subject: Subject) -> Loading:
    return ElfLoading(subject) if subject.target.system == "linux" else MachOLoading(subject)


def _needed(subject: Subject) -> Iterator[Violation]:
    loading = _loading(subject)
    for path in loading.paths():
        for library in loading.libraries(path):
            if not library.place and not library.optional:
                yield Violation(path, f"it needs {library.name}, found neither in the keg nor among the system's own")


def _undefined(subject: Subject) -> Iterator[Violation]:
    loading = _loading(subject)
    for path in loading.paths():
        symbols: dict[str, list[str]] = defaultdict(list)
        for symbol, reason in loading.undefined(path):
            symbols[reason].append(symbol)
        yield from (Violation(path, f"{_listed(names)}: {reason}") for reason, names in symbols.items())


def _unchecked(subject: Subject) -> Iterator[Violation]:
    loading = _loading(subject)
    symbols: dict[str, set[str]] = defaultdict(set)
    for library, symbol in loading.unchecked():
        symbols[library].add(symbol)
    yield from (Violation("", f"{len(names)} symbols of {library}") for library, names in sorted(symbols.items()))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


CHECKS = (
    Check(
        "needed-library",
        ERROR,
        "the loader refuses to start it on a machine that happens not to have this library",
        "bundle the library beside it with a search path relative to the file, or build without it",
        _needed,
    ),
    Check(
        "undefined-symbol",
        ERROR,
        "the loader refuses the file, or ends the program when it first calls the symbol",
        "link the file with the library that has the symbol, or build it for an older system",
        _undefined,
    ),
    Check(
        "unchecked-symbols",
        INFORMATION,
        "there is no list of what these libraries of the system have, so it is not known whether they have all of it",
        "try the bottle on the oldest system that is promised",
        _unchecked,
    ),
)
