"""The report page: a release, the contents of its bottles, and the previous release, rendered as one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from stigmer_packaging.manifest.values import TARGETS
from stigmer_packaging.publish.report.treemap import draw_treemap
from stigmer_packaging.publish.report.waterfall import find_spans
from stigmer_packaging.publish.rules import problems_in_records
from stigmer_packaging.records.model import AuditReport
from stigmer_packaging.records.release import Artefact, Release, mark_levels

WIDTH, HEIGHT = 1120.0, 460.0
"""Size of the treemap in SVG units."""

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class Licences:
    """The number of packages under each licence, most used first, and the packages without a declared licence."""

    counted: tuple[tuple[str, int], ...]
    unstated: tuple[str, ...]

    @property
    def packages(self) -> int:
        """The number of all packages."""
        return sum(count for _, count in self.counted) + len(self.unstated)


Files = Mapping[str, Sequence[tuple[str, int]]]
"""The paths and sizes of the files in each bottle's keg, by the bottle's file name."""


@dataclass(frozen=True)
class Growth:
    """The size of something in bytes, now and in the previous release; None if it was not there."""

    name: str
    size: int
    before: int | None

    @property
    def grown(self) -> int | None:
        """The growth in bytes, None if the previous size is unknown."""
        return None if self.before is None else self.size - self.before

    @property
    def percent(self) -> float:
        """The growth in percent of the previous size."""
        return 100 * (self.grown or 0) / (self.before or 1)


def render_page(release: Release, files: Files, licences: Mapping[str, Licences], previous: Release | None) -> str:
    """Return the page as HTML.

    `licences` are those that each platform's software bill of materials declares; `previous` is the release to compare
    sizes with.
    """
    release = mark_levels(release)
    bottles = {bottle.target: bottle for bottle in release.of_kind("bottle")}
    values = {
        "release": release,
        "previous": previous,
        "problems": problems_in_records(release) if bottles else ["there is no bottle in this release"],
        "rows": [(artefact, _growth_of(artefact, previous)) for artefact in release.artefacts],
        "sections": {
            target: _section(bottles[target], release, files, licences, previous) if target in bottles else None
            for target in TARGETS
        },
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["megabytes"] = megabytes
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return page.render(values, width=WIDTH, height=HEIGHT) + "\n"


def megabytes(size: int) -> str:
    """Format a size in bytes for readers."""
    return f"{size / 1e6:.1f} MB" if abs(size) >= 100_000 else f"{size / 1e3:.1f} kB"


def _section(
    bottle: Artefact, release: Release, files: Files, licences: Mapping[str, Licences], previous: Release | None
) -> dict[str, Any]:
    """Return what the page shows for a platform with a bottle; `omitted` lists the modules that its services omit."""
    audit = next((one for one in release.audits if one.bottle_sha256 == bottle.sha256), None)
    parts = [(*name.split("/", 1), modules) for name, modules in release.omitted.items()]
    return {
        "bottle": bottle,
        "audit": audit,
        "groups": draw_treemap(files[bottle.name], WIDTH, HEIGHT),
        "grown": _growth_within(audit, previous) if audit else (),
        "spans": next(filter(None, map(find_spans, release.reports_on(bottle))), ()),
        "licences": licences.get(bottle.target),
        "omitted": [f"{part}: {one}" for target, part, left in parts if target == bottle.target for one in left],
    }


def _growth_of(artefact: Artefact, previous: Release | None) -> Growth:
    """Compare a file with the file of the same kind and platform in the previous release."""
    known = previous.artefacts if previous else ()
    same = (other.size for other in known if (other.kind, other.target) == (artefact.kind, artefact.target))
    return Growth(artefact.name, artefact.size, next(same, None))


def _growth_within(audit: AuditReport, previous: Release | None) -> tuple[Growth, ...]:
    """Compare the contents of a bottle: the total, then those of its largest files that changed, most changed first.

    Only files among the largest of both releases are compared; the previous sizes of others are not known.
    """
    before = next((one for one in (previous.audits if previous else ()) if one.target == audit.target), None)
    if not before:
        return ()
    known = dict(before.largest)
    files = [Growth(path, size, known[path]) for path, size in audit.largest if known.get(path, size) != size]
    changed = sorted(files, key=lambda each: (-abs(each.grown or 0), each.name))
    return (Growth("all files, unpacked", audit.unpacked, before.unpacked), *changed)
