"""Draw a release's folder as one page: report.html, for the maintainer who decides whether to publish it."""

from pathlib import Path

from stigmer_packaging.bottle.archive import read_sizes
from stigmer_packaging.publish.report.licences import read_licences
from stigmer_packaging.publish.report.page import Contents, render_page
from stigmer_packaging.records.release import Release, read_release

PAGE = "report.html"


def write_report(folder: Path, previous: Release | None = None) -> Path:
    """Write the page of the release in `folder` beside its files; `previous` is the release to compare sizes with.

    RecordError as read_release, or for a damaged SBOM; ArchiveError for a bottle that is no archive.
    """
    release = read_release(folder)
    contents = _read_contents(folder, release)
    page, part = folder / PAGE, folder / f".{PAGE}.part"
    part.write_text(render_page(release, contents, previous), encoding="utf-8")
    return part.replace(page)


def _read_contents(folder: Path, release: Release) -> Contents:
    boms = {bom.target: (folder / bom.name).read_text(encoding="utf-8") for bom in release.of_kind("sbom")}
    return Contents(
        {bottle.name: _in_keg(folder / bottle.name) for bottle in release.of_kind("bottle")},
        {target: read_licences(text) for target, text in boms.items()},
    )


def _in_keg(bottle: Path) -> tuple[tuple[str, int], ...]:
    """List the files of a bottle with their sizes, by their paths below NAME/VERSION."""
    return tuple((path.split("/", 2)[-1], size) for path, size in read_sizes(bottle))
