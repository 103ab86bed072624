"""Modes, and the rest of what a tar archive says of its members besides their content."""

from collections.abc import Iterator

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.audit.contents import FILE, FOLDER, LINK, Entry

_MODES = {FILE: {0o755, 0o644}, FOLDER: {0o755}}
_SPECIAL, _WRITABLE = 0o7000, 0o022
_SAME_BYTES = "two builds of the same sources must give the same bytes, or nobody can check what was released"
_PACK = "pack it with bottle.archive"


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
        first = foreign[0]
        yield Violation(
            first.path or first.name,
            f"{len(foreign)} members are not owned by uid and gid 0, the first by {first.uid}:{first.gid}",
        )


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
