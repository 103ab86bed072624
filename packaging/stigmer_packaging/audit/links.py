"""Symbolic links: relative, inside the keg, and leading somewhere."""

import posixpath
from collections.abc import Iterator

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation
from stigmer_packaging.audit.contents import LINK, join


def _links(subject: Subject) -> Iterator[tuple[str, str]]:
    yield from ((path, entry.goal) for path, entry in subject.contents.paths.items() if entry.kind == LINK)


def _absolute(subject: Subject) -> Iterator[Violation]:
    yield from (Violation(path, f"it leads to {goal}") for path, goal in _links(subject) if goal.startswith("/"))


def _escaping(subject: Subject) -> Iterator[Violation]:
    for path, goal in _links(subject):
        if not goal.startswith("/") and join(posixpath.dirname(path), goal).split("/")[0] == "..":
            yield Violation(path, f"it leads to {goal}")


def _dangling(subject: Subject) -> Iterator[Violation]:
    for path, goal in _links(subject):
        reached = join(posixpath.dirname(path), goal)
        inside = not goal.startswith("/") and reached.split("/")[0] != ".."
        if inside and reached != "." and subject.contents.resolve(path) is None:
            yield Violation(path, f"it leads to {goal}, which is not there")


_REMEDY = "link relatively to a path of the same keg"

CHECKS = (
    Check("absolute-link", ERROR, "a prefix may be anywhere, and so may a home", _REMEDY, _absolute),
    Check("escaping-link", ERROR, "what is outside the keg is not ours to rely on", _REMEDY, _escaping),
    Check("dangling-link", ERROR, "a link that leads nowhere is a missing file", _REMEDY, _dangling),
)
