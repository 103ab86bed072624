"""Render a release's folder as one page, report.html, for the maintainer who decides whether to publish it."""

import json
from collections import Counter
from pathlib import Path

from stigmer_packaging.bottle.reading import read_sizes
from stigmer_packaging.lib.cache import write_atomically
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.publish.report.page import Licences, render_page
from stigmer_packaging.records.release import Release, read_release

PAGE = "report.html"
_UNSTATED = frozenset({"NOASSERTION", "NONE", ""})


def write_report(folder: Path, previous: Release | None = None) -> Path:
    """Write the page of the release in `folder` beside its files; `previous` is the release to compare sizes with.

    RecordError as in read_release, or for a damaged SBOM; ArchiveError for a bottle that is not an archive.
    """
    release = read_release(folder)
    files = {bottle.name: read_sizes(folder / bottle.name) for bottle in release.of_kind("bottle")}
    licences = {bom.target: read_licences((folder / bom.name).read_text("utf-8")) for bom in release.of_kind("sbom")}
    return write_atomically(folder / PAGE, render_page(release, files, licences, previous))


def read_licences(sbom: str) -> Licences:
    """Return the licences that an SPDX document declares; RecordError if it is damaged."""
    try:
        packages: list[dict[str, str]] = json.loads(sbom)["packages"]
        pairs = [
            (f"{package['name']} {package.get('versionInfo', '')}".strip(), package.get("licenseDeclared", ""))
            for package in packages
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordError(f"the software bill of materials is damaged: {error}") from error
    counted = Counter(licence for _, licence in pairs if licence not in _UNSTATED)
    ordered = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    return Licences(tuple(ordered), tuple(sorted(name for name, licence in pairs if licence in _UNSTATED)))
