"""Size: what every user downloads, at every upgrade."""

from collections.abc import Iterator

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation
from stigmer_packaging.audit.contents import Contents

_SHOWN = 10


def largest_files(contents: Contents) -> tuple[tuple[str, int], ...]:
    """Give the ten largest files with their sizes in bytes, the largest first."""
    sizes = [(entry.path or entry.name, entry.size) for entry in contents.entries if entry.content is not None]
    return tuple(sorted(sizes, key=lambda file: (-file[1], file[0]))[:_SHOWN])


def _size(subject: Subject) -> Iterator[Violation]:
    size, budget = subject.bottle.size, subject.policy.size_budget
    if budget and size > budget:
        named = ", ".join(f"{path} ({bytes_ / 1e6:.1f} MB)" for path, bytes_ in largest_files(subject.contents))
        yield Violation(
            "", f"{size / 1e6:.1f} MB, and the budget is {budget / 1e6:.1f} MB; the largest files are {named}"
        )


CHECKS = (
    Check(
        "size",
        ERROR,
        "every user waits for it",
        "strip, exclude what is not imported, or raise the budget on purpose",
        _size,
    ),
)
