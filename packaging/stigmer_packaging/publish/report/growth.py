"""What grew since the release before: its files, and of each bottle what the audits know of its contents."""

from collections.abc import Iterator
from dataclasses import dataclass

from stigmer_packaging.records.model import AuditReport
from stigmer_packaging.records.release import Artefact, Release

WHOLE = "all files, unpacked"


@dataclass(frozen=True)
class Growth:
    """The size of something in bytes, and what it was in the release before; None where it was not there."""

    name: str
    size: int
    before: int | None

    @property
    def grown(self) -> int | None:
        """Give by how many bytes it grew."""
        return None if self.before is None else self.size - self.before

    @property
    def percent(self) -> float:
        """Give the growth in percent of the former size."""
        return 100 * (self.grown or 0) / (self.before or 1)


def growth_of(artefact: Artefact, previous: Release | None) -> Growth:
    """Compare one file with the file of the same kind and platform in the release before."""
    known = previous.artefacts if previous else ()
    same = (other.size for other in known if (other.kind, other.target) == (artefact.kind, artefact.target))
    return Growth(artefact.name, artefact.size, next(same, None))


def growth_within(audit: AuditReport | None, previous: Release | None) -> tuple[Growth, ...]:
    """Compare what a bottle holds: the whole, then of its largest files those that changed, most changed first."""
    audits = previous.audits if previous else ()
    before = next((one for one in audits if audit and one.target == audit.target), None)
    if not audit or not before:
        return ()
    changed = sorted(_files(audit, before), key=lambda each: (-abs(each.grown or each.size), each.name))
    return (Growth(WHOLE, audit.unpacked, before.unpacked), *changed)


def _files(audit: AuditReport, before: AuditReport) -> Iterator[Growth]:
    """Compare the files that are among the largest of both: of others the former size is not known."""
    known = dict(before.largest)
    for path, size in audit.largest:
        if path in known and known[path] != size:
            yield Growth(path, size, known[path])
