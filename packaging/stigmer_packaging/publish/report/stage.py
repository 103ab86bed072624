"""Draw a release's folder as one page: report.html, for the maintainer who decides whether to publish it."""

from pathlib import Path

from stigmer_packaging.bottle.archive import read_sizes
from stigmer_packaging.publish.report.page import render_page
from stigmer_packaging.records.release import Release, read_release

PAGE = "report.html"


def write_report(folder: Path, previous: Release | None = None) -> Path:
    """Write the page of the release in `folder` beside its files; `previous` is the release to compare sizes with.

    RecordError as read_release; ArchiveError for a bottle that is no archive.
    """
    release = read_release(folder)
    contents = {bottle.name: _in_keg(folder / bottle.name) for bottle in release.of_kind("bottle")}
    page, part = folder / PAGE, folder / f".{PAGE}.part"
    part.write_text(render_page(release, contents, previous), encoding="utf-8")
    return part.replace(page)


def _in_keg(bottle: Path) -> tuple[tuple[str, int], ...]:
    """List the files of a bottle with their sizes, by their paths below NAME/VERSION."""
    return tuple((path.split("/", 2)[-1], size) for path, size in read_sizes(bottle))
