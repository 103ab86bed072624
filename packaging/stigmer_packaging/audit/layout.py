"""Checks of the archive's members: names, kinds, links, modes, owners and times, everything except their content.

Source: Homebrew's `Utils::Bottles` and how brew pours a bottle, tried with real bottles.
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
_SAME_BYTES = "two builds of the same sources must produce the same bytes, so that anyone can verify a release"
_PACK = "pack it with bottle.archive"
_LINK = "use a relative link to a path in the same keg"


@check(
    "file-name",
    "brew downloads NAME-VERSION.TAG.bottle[.REBUILD].tar.gz, with a single dash; any other name is a 404",
    "name it with naming.bottle_name; the double dash that `brew bottle` writes is for local files only",
)
def _file_name(subject: Subject) -> Iterator[Violation]:
    bottle = subject.bottle
    expected = naming.bottle_name(bottle.name, bottle.version, bottle.tag, bottle.rebuild)
    if (found := PurePosixPath(bottle.path).name) != expected:
        yield Violation("", f"the file is named {found}, but brew downloads {expected}")


@check(
    "first-member",
    "`brew install ./FILE` reads the name and version from the first member and fails without it",
    "write the folder NAME/VERSION/ first, without a leading ./ and without a member NAME/ before it",
)
def _first_member(subject: Subject) -> Iterator[Violation]:
    expected = f"{subject.bottle.name}/{subject.bottle.version}"
    first = next(iter(subject.contents.entries), None)
    if first is None or first.name != expected or first.kind != FOLDER:
        yield Violation("", f"the first member is {first.name if first else 'missing'}, not the folder {expected}/")


@check(
    "outside-keg",
    "brew unpacks into the Cellar, where it would be left behind or become part of another formula's keg",
    "put every member below NAME/VERSION/",
)
def _outside(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.path is None:
            yield Violation(entry.name, f"not below {subject.bottle.name}/{subject.bottle.version}/")


@check("twice", "which copy is kept depends on the program that unpacks the bottle", "write each path once")
def _twice(subject: Subject) -> Iterator[Violation]:
    names = Counter(entry.name for entry in subject.contents.entries)
    yield from (Violation(name, f"{count} members have this name") for name, count in names.items() if count > 1)


@check(
    "case-collision",
    "macOS's default file system is case-insensitive, so one of the files overwrites the other",
    "rename one of them",
)
def _same_on_macos(subject: Subject) -> Iterator[Violation]:
    if subject.target.system != "darwin":
        return
    known: dict[str, str] = {}
    for path in subject.contents.paths:
        first = known.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if first != path:
            yield Violation(path, f"the same file as {first} on macOS")


@check("kinds", "a keg holds only files, folders and symbolic links", "leave it out")
def _kinds(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.kind == OTHER:
            yield Violation(entry.path or entry.name, "not a file, a folder or a symbolic link")


@check("hard-link", "its content is in another member, and our own unpacking refuses it", "pack the file's content")
def _hard_links(subject: Subject) -> Iterator[Violation]:
    for entry in subject.contents.entries:
        if entry.kind == HARD_LINK:
            yield Violation(entry.path or entry.name, f"a hard link to {entry.link_target}")


@check(
    "program",
    "users run it, and it is the only program that brew links into the prefix's bin",
    "make bin/NAME a relative link to the launcher",
)
def _program(subject: Subject) -> Iterator[Violation]:
    path = f"bin/{subject.bottle.name}"
    found = subject.contents.resolve(path)
    if found is None or found.kind != FILE or not found.executable:
        yield Violation(path, "missing, or not an executable file")


def _links(subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Yield each link's path, its target as stored, and that target as a path below the keg or as an absolute path."""
    for path, entry in subject.contents.paths.items():
        if entry.kind == LINK:
            yield path, entry.link_target, join(posixpath.dirname(path), entry.link_target)


@check("absolute-link", "the prefix can be anywhere, and so can the user's home", _LINK)
def _absolute(subject: Subject) -> Iterator[Violation]:
    for path, target, reached in _links(subject):
        if reached.startswith("/"):
            yield Violation(path, f"links to {target}")


@check("escaping-link", "nothing outside the keg can be relied on", _LINK)
def _escaping(subject: Subject) -> Iterator[Violation]:
    for path, target, reached in _links(subject):
        if reached.split("/")[0] == "..":
            yield Violation(path, f"links to {target}")


@check("dangling-link", "whatever uses the link finds no file", _LINK)
def _dangling(subject: Subject) -> Iterator[Violation]:
    for path, target, reached in _links(subject):
        if reached.split("/")[0] not in {"", "..", "."} and subject.contents.resolve(path) is None:
            yield Violation(path, f"links to {target}, which does not exist")


def _members(subject: Subject) -> Iterator[tuple[str, Entry]]:
    """Yield the members that have a mode of their own, each with its path in the keg, or else its name."""
    yield from ((entry.path or entry.name, entry) for entry in subject.contents.entries if entry.kind != LINK)


@check(
    "modes",
    "brew keeps the modes: other users of the prefix could not read the file, or a program would not start",
    "use mode 0755 for programs and folders, and 0644 for other files",
)
def _modes(subject: Subject) -> Iterator[Violation]:
    for path, entry in _members(subject):
        usual = _MODES.get(entry.kind, {entry.mode})
        if entry.mode not in usual and not entry.mode & (_SPECIAL | _WRITABLE):
            yield Violation(path, f"mode {entry.mode:04o}")


@check("setuid", "no program of ours needs the rights of another user", "clear the setuid, setgid and sticky bits")
def _special(subject: Subject) -> Iterator[Violation]:
    yield from (Violation(path, f"mode {each.mode:04o}") for path, each in _members(subject) if each.mode & _SPECIAL)


@check("writable", "other users could change what a user runs", "use mode 0755 or 0644")
def _writable(subject: Subject) -> Iterator[Violation]:
    yield from (Violation(path, f"mode {each.mode:04o}") for path, each in _members(subject) if each.mode & _WRITABLE)


@check("owners", _SAME_BYTES, _PACK)
def _owners(subject: Subject) -> Iterator[Violation]:
    foreign = [e for e in subject.contents.entries if (e.uid, e.gid) != (0, 0) or set(e.owner) - {"", "root"}]
    if foreign:
        first, count = foreign[0], len(foreign)
        names = ":".join(first.owner).strip(":")
        owner = f"{first.uid}:{first.gid}" + (f" ({names})" if names else "")
        observation = f"members not owned by root: {count}; the first is owned by {owner}"
        yield Violation(first.path or first.name, observation)


@check("times", _SAME_BYTES, _PACK)
def _times(subject: Subject) -> Iterator[Violation]:
    times = sorted({entry.mtime for entry in subject.contents.entries})
    if len(times) > 1:
        yield Violation("", f"{len(times)} different modification times, from {times[0]:g} to {times[-1]:g}")
    elif any(time != int(time) for time in times):
        yield Violation("", f"the modification time {times[0]} is not a whole second")


@check("order", _SAME_BYTES, _PACK)
def _order(subject: Subject) -> Iterator[Violation]:
    names = [entry.name for entry in subject.contents.entries]
    ordered = sorted(names, key=lambda name: name.split("/"))
    wrong = next((found for found, expected in zip(names, ordered, strict=True) if found != expected), None)
    if wrong is not None:
        yield Violation(wrong, "the members are not sorted; this is the first one out of order")


@check("gzip-header", _SAME_BYTES, _PACK)
def _gzip_header(subject: Subject) -> Iterator[Violation]:
    flags, mtime = subject.contents.gzip[3], int.from_bytes(subject.contents.gzip[4:8], "little")
    if flags or mtime:  # a flag announces a name, a comment or an extra field
        yield Violation("", f"the gzip header has the flags {flags:#04x} and the time {mtime}")
