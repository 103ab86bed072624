"""The page itself: a release, what its bottles hold, and the release before it, rendered as one HTML file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from stigmer_packaging.publish.report.treemap import Group, draw_treemap
from stigmer_packaging.publish.report.waterfall import Span, find_spans
from stigmer_packaging.records.model import AuditReport, VerificationReport
from stigmer_packaging.records.release import Artefact, Release, with_levels

WIDTH, HEIGHT = 1120.0, 460.0
"""The treemap's size in the units of its drawing."""

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class Row:
    """One artefact, and by how many bytes it grew since the release before; None where there was none."""

    artefact: Artefact
    grown: int | None

    @property
    def percent(self) -> float:
        """Give the growth in percent of the former size."""
        return 100 * (self.grown or 0) / (self.artefact.size - (self.grown or 0) or 1)


@dataclass(frozen=True)
class BottlePart:
    """One bottle: its row, its map, what the audit says of it, who verified it, and the waterfall of its first start.

    `left_out` says what its frozen services were shipped without.
    """

    row: Row
    groups: tuple[Group, ...]
    audit: AuditReport | None
    verifications: tuple[VerificationReport, ...]
    spans: tuple[Span, ...]
    left_out: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether nothing speaks against publishing this bottle."""
        audited = self.audit is not None and self.audit.passed
        ran = any(not report.emulated for report in self.verifications)
        return audited and ran and all(report.passed for report in self.verifications)


def render_page(release: Release, contents: Mapping[str, Sequence[tuple[str, int]]], previous: Release | None) -> str:
    """Give the page. `contents` holds of each bottle, by its file's name, the paths and sizes of the files in the keg."""
    release = with_levels(release)
    rows = tuple(Row(artefact, _growth(artefact, previous)) for artefact in release.artefacts)
    bottles = tuple(_bottle(row, release, contents) for row in rows if row.artefact.kind == "bottle")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"megabytes": megabytes, "signed": lambda size: f"{size:+,d}".replace(",", "\N{THIN SPACE}")}
    template = _TEMPLATE.read_text(encoding="utf-8")
    others = [(row, release.reports_on(row.artefact)) for row in rows if row.artefact.kind == "program"]
    values = {"release": release, "previous": previous, "rows": rows, "bottles": bottles, "others": others}
    return environment.from_string(template).render(values, width=WIDTH, height=HEIGHT) + "\n"


def megabytes(size: int) -> str:
    """Write a size in bytes for people."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _bottle(row: Row, release: Release, contents: Mapping[str, Sequence[tuple[str, int]]]) -> BottlePart:
    sha256 = row.artefact.sha256
    audit = next((report for report in release.audits if report.bottle_sha256 == sha256), None)
    reports = release.reports_on(row.artefact)
    spans = next((found for report in reports if (found := find_spans(report))), ())
    groups = draw_treemap(contents[row.artefact.name], WIDTH, HEIGHT)
    return BottlePart(row, groups, audit, reports, spans, tuple(_left_out(row.artefact.target, release)))


def _left_out(target: str, release: Release) -> Iterator[str]:
    for name, modules in release.left_out.items():
        platform, _, component = name.partition("/")
        if platform == target:
            yield from (f"{component}: {each}" for each in modules)


def _growth(artefact: Artefact, previous: Release | None) -> int | None:
    known = previous.artefacts if previous else ()
    same = (other for other in known if (other.kind, other.target) == (artefact.kind, artefact.target))
    return next((artefact.size - other.size for other in same), None)
