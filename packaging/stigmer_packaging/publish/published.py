"""What each place says of a published release's files, held against the bytes: formula, checksums, attestations, SBOMs, files.

Sources: GitHub's REST documentation of attestations, the in-toto statement v1, and SPDX 2.3.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stigmer_packaging.bottle.keg_tree import CHECKSUMS
from stigmer_packaging.bottle.reading import read_checksums
from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.lib import digest
from stigmer_packaging.records.release import Artefact, Release

SBOM_PREDICATE = "https://spdx.dev/Document"
UNSIGNED = "signature not checked: `gh attestation verify` does"


@dataclass(frozen=True)
class Statement:
    """What one place says of one file, and whether that agrees with the file's bytes."""

    file: str
    place: str
    agrees: bool
    said: str = ""


@dataclass(frozen=True)
class Published:
    """A release as it was fetched to `folder`, its formula in the tap, and the attestations by sha256."""

    folder: Path
    release: Release
    formula: str
    attested: Mapping[str, tuple[Mapping[str, Any], ...]]


def compare_published(published: Published, keg: Path | None = None) -> tuple[Statement, ...]:
    """List every statement about the files, and with `keg` whether what is installed there is what the bottle holds."""
    sums = digest.parse_sums((published.folder / "SHA256SUMS").read_text(encoding="ascii"))
    facts = parse_formula(published.formula)
    downloads = facts.downloads(published.release.product.name) if facts else ()
    promised = {download.url.rpartition("/")[2]: download.sha256 for download in downloads}
    said: list[Statement] = []
    for artefact in published.release.artefacts:
        said.append(_digest_said(artefact, "SHA256SUMS", sums))
        if artefact.kind in {"bottle", "source"}:
            said.append(_digest_said(artefact, "formula in the tap", promised))
        said += _attestation_said(artefact, published)
        if artefact.kind == "sbom":
            said.append(_name_said(artefact, published))
        if artefact.kind == "bottle":
            said.append(_compare_files(artefact.name, "its own checksums", *_checksums(artefact, published)))
    return (*said, _installed_said(keg, published)) if keg else tuple(said)


def _digest_said(artefact: Artefact, place: str, sums: Mapping[str, str]) -> Statement:
    said = sums.get(artefact.name, "")
    return Statement(artefact.name, place, said == artefact.sha256, said[:16] or "does not name it")


def _attestation_said(artefact: Artefact, published: Published) -> Iterator[Statement]:
    """Of every file where it comes from, and of a bottle its bill of materials, too."""
    naming = [one for one in published.attested.get(artefact.sha256, ()) if _names(one, artefact.sha256)]
    bills = [one["predicate"] for one in naming if one["predicateType"].startswith(SBOM_PREDICATE)]
    yield Statement(artefact.name, "provenance", len(naming) > len(bills), UNSIGNED if naming else "no attestation")
    if artefact.kind == "bottle":
        same = _bill_of(artefact, published) in bills
        said = UNSIGNED if same else "another SBOM than the published one" if bills else "no attestation"
        yield Statement(artefact.name, "attested SBOM", same, said)


def _names(statement: Mapping[str, Any], sha256: str) -> bool:
    return any(subject["digest"].get("sha256") == sha256 for subject in statement["subject"])


def _bill_of(bottle: Artefact, published: Published) -> Any:
    bills = [one for one in published.release.of_kind("sbom") if one.target == bottle.target]
    return json.loads((published.folder / bills[0].name).read_text(encoding="utf-8")) if bills else None


def _name_said(sbom: Artefact, published: Published) -> Statement:
    product = published.release.product
    said = json.loads((published.folder / sbom.name).read_text(encoding="utf-8")).get("name", "")
    return Statement(sbom.name, "its own name", said == f"{product.name}-{product.version}-{sbom.target}", said)


def _installed_said(keg: Path, published: Published) -> Statement:
    """Compare a keg with the bottle it says it comes from; brew before 5.1.15 changes what it pours on Linux."""
    sums = keg / CHECKSUMS
    text = sums.read_text(encoding="utf-8") if sums.is_file() else ""
    for bottle in published.release.of_kind("bottle"):
        if _checksums(bottle, published)[0] == text:
            found = {name: digest.sha256_of(keg / name) for name in digest.parse_sums(text) if (keg / name).is_file()}
            return _compare_files(bottle.name, "installed files", text, found)
    return Statement(str(keg), "installed files", False, "its checksums are those of no bottle of this release")


def _checksums(bottle: Artefact, published: Published) -> tuple[str, dict[str, str]]:
    product = published.release.product
    return read_checksums(published.folder / bottle.name, product.name, product.version)


def _compare_files(name: str, place: str, sums: str, found: Mapping[str, str]) -> Statement:
    wrong = sorted(path for path, sha256 in digest.parse_sums(sums).items() if found.get(path) != sha256)
    said = f"{len(wrong)} differ, such as {wrong[0]}" if wrong else f"{len(found)} files"
    return Statement(name, place, not wrong, said)
