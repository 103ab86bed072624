"""Check of the size, which every user downloads at every upgrade."""

from collections import Counter
from collections.abc import Iterable, Iterator

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.audit.contents import Contents
from stigmer_packaging.audit.index import COMPONENTS, read_components

_SHOWN = 10
_LAUNCHER = "libexec/launcher/"


def largest_files(contents: Contents) -> tuple[tuple[str, int], ...]:
    """Return the ten largest files with their sizes in bytes, the largest first."""
    sizes = [(entry.path or entry.name, entry.size) for entry in contents.entries if entry.content is not None]
    return tuple(sorted(sizes, key=lambda file: (-file[1], file[0]))[:_SHOWN])


def largest_parts(subject: Subject) -> tuple[tuple[str, int], ...]:
    """Return the unpacked sizes in bytes of the launcher, each component and the rest, the largest first."""
    owners = {COMPONENTS + path: part.name for part in read_components(subject) for path in part.files}
    sizes = Counter[str]()
    for path, entry in subject.contents.paths.items():
        if entry.content is not None:
            sizes[owners.get(path, "launcher" if path.startswith(_LAUNCHER) else "the rest")] += entry.size
    return tuple(sizes.most_common())


@check(
    "size",
    "every user downloads it at every upgrade",
    "strip, exclude unused modules, or raise `size_budget` (the one under `reference` for the reference services)",
)
def _size(subject: Subject) -> Iterator[Violation]:
    size, budget = subject.bottle.size, subject.policy.size_budget
    if budget and size > budget:
        yield Violation(
            "",
            f"{size / 1e6:.1f} MB, but the `size_budget` of {subject.target} in the manifest is "
            f"{budget / 1e6:.1f} MB; unpacked, the parts are {_named(largest_parts(subject))}; "
            f"the largest files are {_named(largest_files(subject.contents))}",
        )


def _named(sizes: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in sizes)
