"""The archive's members: names, kinds, links, modes, owners and times, all that tar says of them besides their content.

Source: Homebrew's `Utils::Bottles` and its pour, tried with real ones.
"""

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.audit.contents import FILE, FOLDER, HARD_LINK, LINK, OTHER, Entry, join
from stigmer_packaging.manifest import naming

_MODES = {FILE: {0o755, 0o644}, FOLDER: {0o755}}
_SPECIAL, _WRITABLE = 0o7000, 0o022
_SAME_BYTES = "two builds of the same sources must give the same bytes, or nobody can check what was released"
_PACK = "pack it with bottle.archive"
_LINK = "link relatively to a path of the same keg"


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


def _members(subject: Subject) -> Iterator[tuple[str, Entry]]:
    """Give what has a mode of its own, under the name it is known by."""
    yield from ((entry.path or entry.name, entry) for entry in subject.contents.entries if entry.kind != LINK)


@check(
    "modes",
    "a pour keeps modes: other users of the prefix could not read it, or a program would not start",
    "give programs and folders 0755, other files 0644",
)
def _modes(subject: Subject) -> Iterator[Violation]:
    for path, entry in _members(subject):
        usual = _MODES.get(entry.kind, {entry.mode})
        if entry.mode not in usual and not entry.mode & (_SPECIAL | _WRITABLE):
            yield Violation(path, f"mode {entry.mode:04o}")


@check("setuid", "nothing of ours runs as somebody else", "take the special bits away")
def _special(subject: Subject) -> Iterator[Violation]:
    yield from (Violation(path, f"mode {each.mode:04o}") for path, each in _members(subject) if each.mode & _SPECIAL)


@check("writable", "others could change what a user runs", "give it 0755 or 0644")
def _writable(subject: Subject) -> Iterator[Violation]:
    yield from (Violation(path, f"mode {each.mode:04o}") for path, each in _members(subject) if each.mode & _WRITABLE)


@check("owners", _SAME_BYTES, _PACK)
def _owners(subject: Subject) -> Iterator[Violation]:
    foreign = [e for e in subject.contents.entries if (e.uid, e.gid) != (0, 0) or set(e.owner) - {"", "root"}]
    if foreign:
        first, count = foreign[0], len(foreign)
        seen = f"{count} members are not owned by uid and gid 0, the first by {first.uid}:{first.gid}"
        yield Violation(first.path or first.name, seen)


@check("times", _SAME_BYTES, _PACK)
def _times(subject: Subject) -> Iterator[Violation]:
    times = sorted({entry.mtime for entry in subject.contents.entries})
    if len(times) > 1:
        yield Violation("", f"{len(times)} different times, from {times[0]:g} to {times[-1]:g}")
    elif any(time != int(time) for time in times):
        yield Violation("", f"the time {times[0]} has a fraction")


@check("order", _SAME_BYTES, _PACK)
def _order(subject: Subject) -> Iterator[Violation]:
    names = [entry.name for entry in subject.contents.entries]
    ordered = sorted(names, key=lambda name: name.split("/"))
    wrong = next((found for found, expected in zip(names, ordered, strict=True) if found != expected), None)
    if wrong is not None:
        yield Violation(wrong, "the members are not sorted, and this is the first in the wrong place")


@check("gzip-header", _SAME_BYTES, _PACK)
def _gzip_header(subject: Subject) -> Iterator[Violation]:
    flags, mtime = subject.contents.gzip[3], int.from_bytes(subject.contents.gzip[4:8], "little")
    if flags or mtime:  # a flag says that a name, a comment or an extra field follows
        yield Violation("", f"gzip's header has the flags {flags:#04x} and the time {mtime}")
