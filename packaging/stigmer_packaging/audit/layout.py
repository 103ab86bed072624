"""Layout and names: what brew reads before it unpacks a byte, and what a user's file system can hold.

Source: Homebrew's `Utils::Bottles` and its pour, tried with real ones.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation
from stigmer_packaging.audit.contents import FILE, FOLDER, HARD_LINK, OTHER
from stigmer_packaging.manifest import naming


def _file_name(subject: Subject) -> Iterator[Violation]:
    bottle = subject.bottle
    expected = naming.bottle_name(bottle.name, bottle.version, bottle.tag, bottle.rebuild)
    if (found := PurePosixPath(bottle.path).name) != expected:
        yield Violation("", f"the file is named {found}, and brew asks for {expected}")


def _first_member(subject: Subject) -> Iterator[Violation]:
    expected = f"{subject.bottle.name}/{subject.bottle.version}"
    first = next(iter(subject.contents.entries), None)
    if first is None or first.name != expected or first.kind != FOLDER:
        yield Violation("", f"the first member is {first.name if first else 'missing'}, not the folder {expected}/")


def _outside(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.path is None:
            yield Violation(entry.name, f"not below {subject.bottle.name}/{subject.bottle.version}/")


def _twice(subject: Subject) -> Iterator[Violation]:
    names = Counter(entry.name for entry in subject.contents.entries)
    yield from (Violation(name, f"it is there {count} times") for name, count in names.items() if count > 1)


def _same_on_macos(subject: Subject) -> Iterator[Violation]:
    if subject.target.system != "darwin":
        return
    known: dict[str, str] = {}
    for path in subject.contents.paths:
        first = known.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if first != path:
            yield Violation(path, f"on macOS it is the same file as {first}")


def _kinds(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.kind == OTHER:
            yield Violation(entry.path or entry.name, "neither a file, a folder nor a symbolic link")


def _hard_links(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.kind == HARD_LINK:
            yield Violation(entry.path or entry.name, f"a hard link to {entry.goal}")


def _program(subject: Subject) -> Iterator[Violation]:
    path = f"bin/{subject.bottle.name}"
    found = subject.contents.resolve(path)
    if found is None or found.kind != FILE or not found.executable:
        yield Violation(path, "missing, or it leads to nothing that can be run")


CHECKS = (
    Check(
        "file-name",
        ERROR,
        "brew's download asks for NAME-VERSION.TAG.bottle[.REBUILD].tar.gz with a single dash and gets a 404 else",
        "name it with naming.bottle_name; `brew bottle` itself writes two dashes, which are for local files",
        _file_name,
    ),
    Check(
        "first-member",
        ERROR,
        "`brew install ./FILE` reads name and version off the first member and dies without",
        "write the folder NAME/VERSION/ first, without ./ and without a member NAME/ before it",
        _first_member,
    ),
    Check(
        "outside-keg",
        ERROR,
        "brew unpacks into the Cellar, where this would become litter or another formula's file",
        "put every member below NAME/VERSION/",
        _outside,
    ),
    Check("twice", ERROR, "which of them stays depends on who unpacks", "write each path once", _twice),
    Check(
        "case-collision",
        ERROR,
        "macOS's file system knows no case, so that one of the files overwrites the other",
        "rename one of them",
        _same_on_macos,
    ),
    Check("kinds", ERROR, "a keg holds nothing else", "leave it out", _kinds),
    Check(
        "hard-link",
        ERROR,
        "its file is part of another member, which our own pour refuses",
        "pack the file's content",
        _hard_links,
        own=True,
    ),
    Check(
        "program",
        ERROR,
        "it is what users run, and all that is linked into the prefix's bin",
        "link bin/NAME to the launcher, relatively",
        _program,
    ),
)
