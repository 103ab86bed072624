"""Layout, names and links: what brew reads before it unpacks a byte, and what a user's file system can hold.

Source: Homebrew's `Utils::Bottles` and its pour, tried with real ones.
"""

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.audit.contents import FILE, FOLDER, HARD_LINK, LINK, OTHER, join
from stigmer_packaging.manifest import naming


@check(
    "file-name",
    "brew's download asks for NAME-VERSION.TAG.bottle[.REBUILD].tar.gz with a single dash and gets a 404 else",
    "name it with naming.bottle_name; `brew bottle` itself writes two dashes, which are for local files",
)
def _file_name(subject: Subject) -> Iterator[Violation]:
    bottle = subject.bottle
    expected = naming.bottle_name(bottle.name, bottle.version, bottle.tag, bottle.rebuild)
    if (found := PurePosixPath(bottle.path).name) != expected:
        yield Violation("", f"the file is named {found}, and brew asks for {expected}")


@check(
    "first-member",
    "`brew install ./FILE` reads name and version off the first member and dies without",
    "write the folder NAME/VERSION/ first, without ./ and without a member NAME/ before it",
)
def _first_member(subject: Subject) -> Iterator[Violation]:
    expected = f"{subject.bottle.name}/{subject.bottle.version}"
    first = next(iter(subject.contents.entries), None)
    if first is None or first.name != expected or first.kind != FOLDER:
        yield Violation("", f"the first member is {first.name if first else 'missing'}, not the folder {expected}/")


@check(
    "outside-keg",
    "brew unpacks into the Cellar, where this would become litter or another formula's file",
    "put every member below NAME/VERSION/",
)
def _outside(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.path is None:
            yield Violation(entry.name, f"not below {subject.bottle.name}/{subject.bottle.version}/")


@check("twice", "which of them stays depends on who unpacks", "write each path once")
def _twice(subject: Subject) -> Iterator[Violation]:
    names = Counter(entry.name for entry in subject.contents.entries)
    yield from (Violation(name, f"it is there {count} times") for name, count in names.items() if count > 1)


@check(
    "case-collision",
    "macOS's file system knows no case, so that one of the files overwrites the other",
    "rename one of them",
)
def _same_on_macos(subject: Subject) -> Iterator[Violation]:
    if subject.target.system != "darwin":
        return
    known: dict[str, str] = {}
    for path in subject.contents.paths:
        first = known.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if first != path:
            yield Violation(path, f"on macOS it is the same file as {first}")


@check("kinds", "a keg holds nothing else", "leave it out")
def _kinds(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.kind == OTHER:
            yield Violation(entry.path or entry.name, "neither a file, a folder nor a symbolic link")


@check("hard-link", "its file is part of another member, which our own pour refuses", "pack the file's content")
def _hard_links(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.kind == HARD_LINK:
            yield Violation(entry.path or entry.name, f"a hard link to {entry.goal}")


@check(
    "program",
    "it is what users run, and all that is linked into the prefix's bin",
    "link bin/NAME to the launcher, relatively",
)
def _program(subject: Subject) -> Iterator[Violation]:
    path = f"bin/{subject.bottle.name}"
    found = subject.contents.resolve(path)
    if found is None or found.kind != FILE or not found.executable:
        yield Violation(path, "missing, or it leads to nothing that can be run")


_LINK = "link relatively to a path of the same keg"


def _links(subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Give each link with its goal as written and as a path below the keg, or of the machine."""
    for path, entry in subject.contents.paths.items():
        if entry.kind == LINK:
            yield path, entry.goal, join(posixpath.dirname(path), entry.goal)


@check("absolute-link", "a prefix may be anywhere, and so may a home", _LINK)
def _absolute(subject: Subject) -> Iterator[Violation]:
    for path, goal, reached in _links(subject):
        if reached.startswith("/"):
            yield Violation(path, f"it leads to {goal}")


@check("escaping-link", "what is outside the keg is not ours to rely on", _LINK)
def _escaping(subject: Subject) -> Iterator[Violation]:
    for path, goal, reached in _links(subject):
        if reached.split("/")[0] == "..":
            yield Violation(path, f"it leads to {goal}")


@check("dangling-link", "a link that leads nowhere is a missing file", _LINK)
def _dangling(subject: Subject) -> Iterator[Violation]:
    for path, goal, reached in _links(subject):
        if reached.split("/")[0] not in {"", "..", "."} and subject.contents.resolve(path) is None:
            yield Violation(path, f"it leads to {goal}, which is not there")
