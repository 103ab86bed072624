"""The page itself: a release, what its bottles hold, and the release before it, rendered as one HTML file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from stigmer_packaging.publish.report.decision import Platform, platforms_of, problems_in_records
from stigmer_packaging.publish.report.growth import Growth, growth_of, growth_within
from stigmer_packaging.publish.report.licences import Licences
from stigmer_packaging.publish.report.treemap import Group, draw_treemap
from stigmer_packaging.publish.report.waterfall import Span, find_spans
from stigmer_packaging.records.release import Artefact, Release, with_levels

WIDTH, HEIGHT = 1120.0, 460.0
"""The treemap's size in the units of its drawing."""

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class Contents:
    """What the files of a release hold: of each bottle, by its file's name, paths and sizes of the files in the keg.

    `licences` are of each platform what its software bill of materials declares.
    """

    files: Mapping[str, Sequence[tuple[str, int]]]
    licences: Mapping[str, Licences] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """What the page shows of one platform that has a bottle. `left_out` says what its services were shipped without."""

    platform: Platform
    bottle: Artefact
    groups: tuple[Group, ...]
    grown: tuple[Growth, ...]
    spans: tuple[Span, ...]
    licences: Licences | None
    left_out: tuple[str, ...]


def render_page(release: Release, contents: Contents, previous: Release | None) -> str:
    """Give the page. `previous` is the release to compare sizes with."""
    release = with_levels(release)
    platforms = platforms_of(release)
    values = {
        "release": release,
        "previous": previous,
        "problems": problems_in_records(release),
        "platforms": platforms,
        "rows": [(artefact, growth_of(artefact, previous)) for artefact in release.artefacts],
        "sections": tuple(_sections(platforms, release, contents, previous)),
    }
    return _environment().from_string(_TEMPLATE.read_text(encoding="utf-8")).render(values) + "\n"


def megabytes(size: int) -> str:
    """Write a size in bytes for people."""
    return f"{size / 1e6:.1f} MB" if abs(size) >= 100_000 else f"{size / 1e3:.1f} kB"


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "megabytes": megabytes,
        "signed": lambda size: f"{'+' if size > 0 else ''}{megabytes(size)}",
    }
    environment.globals |= {"width": WIDTH, "height": HEIGHT}
    return environment


def _sections(
    platforms: Sequence[Platform], release: Release, contents: Contents, previous: Release | None
) -> Iterator[Section]:
    for one in platforms:
        if one.bottle:
            spans = (find_spans(report) for report in release.reports_on(one.bottle))
            yield Section(
                one,
                one.bottle,
                draw_treemap(contents.files[one.bottle.name], WIDTH, HEIGHT),
                growth_within(one.audit, previous),
                next((found for found in spans if found), ()),
                contents.licences.get(one.target),
                tuple(_left_out(one.target, release)),
            )


def _left_out(target: str, release: Release) -> Iterator[str]:
    for name, modules in release.left_out.items():
        platform, _, component = name.partition("/")
        if platform == target:
            yield from (f"{component}: {each}" for each in modules)
