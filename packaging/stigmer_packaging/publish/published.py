"""Compare a published release's files with formula, checksums, attestations, SBOMs and the installed files.

Sources: GitHub's REST documentation of attestations, the in-toto statement v1, SLSA's provenance v1, and SPDX 2.3.
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
PROVENANCE_PREDICATE = "https://slsa.dev/provenance/"
UNSIGNED = "signature not checked; use `gh attestation verify`"


@dataclass(frozen=True)
class Statement:
    """What one source says about a file, and whether it agrees with the file's bytes."""

    file: str
    place: str
    agrees: bool
    stated: str = ""


@dataclass(frozen=True)
class Published:
    """A release that was downloaded to `folder`, its formula in the tap, and its attestations by sha256."""

    folder: Path
    release: Release
    formula: str
    attested: Mapping[str, tuple[Mapping[str, Any], ...]]


def compare_published(published: Published, keg: Path | None = None) -> tuple[Statement, ...]:
    """Return every statement about the files and, with `keg`, whether the installed files match the bottle's."""
    sums = digest.parse_sums((published.folder / "SHA256SUMS").read_text(encoding="ascii"))
    facts = parse_formula(published.formula)
    downloads = facts.downloads(published.release.product.name) if facts else ()
    formula_sums = {download.url.rpartition("/")[2]: download.sha256 for download in downloads}
    statements: list[Statement] = []
    for artefact in published.release.artefacts:
        statements.append(_compare_digest(artefact, "SHA256SUMS", sums))
        if artefact.kind in {"bottle", "source"}:
            statements.append(_compare_digest(artefact, "formula in the tap", formula_sums))
        statements += _compare_attestations(artefact, published)
        if artefact.kind == "sbom":
            statements.append(_compare_name(artefact, published))
        if artefact.kind == "bottle":
            statements.append(_compare_files(artefact.name, "its own checksums", *_checksums(artefact, published)))
    return (*statements, _compare_installed(keg, published)) if keg else tuple(statements)


def _compare_digest(artefact: Artefact, place: str, sums: Mapping[str, str]) -> Statement:
    recorded = sums.get(artefact.name, "")
    return Statement(artefact.name, place, recorded == artefact.sha256, recorded[:16] or "does not list it")


def _compare_attestations(artefact: Artefact, published: Published) -> Iterator[Statement]:
    """Yield the statement about the provenance of a file and, for a bottle, about its attested SBOM.

    GitHub's own attestation of an immutable release names the file, too, but does not say who built it.
    """
    statements = [one for one in published.attested.get(artefact.sha256, ()) if _names(one, artefact.sha256)]
    sboms = [one["predicate"] for one in statements if one["predicateType"].startswith(SBOM_PREDICATE)]
    proven = any(one["predicateType"].startswith(PROVENANCE_PREDICATE) for one in statements)
    yield Statement(artefact.name, "provenance", proven, UNSIGNED if proven else "no attestation")
    if artefact.kind == "bottle":
        same = _sbom_of(artefact, published) in sboms
        detail = UNSIGNED if same else "differs from the published SBOM" if sboms else "no attestation"
        yield Statement(artefact.name, "attested SBOM", same, detail)


def _names(statement: Mapping[str, Any], sha256: str) -> bool:
    return any(subject["digest"].get("sha256") == sha256 for subject in statement["subject"])


def _sbom_of(bottle: Artefact, published: Published) -> Any:
    sboms = [one for one in published.release.of_kind("sbom") if one.target == bottle.target]
    return json.loads((published.folder / sboms[0].name).read_text(encoding="utf-8")) if sboms else None


def _compare_name(sbom: Artefact, published: Published) -> Statement:
    product = published.release.product
    recorded = json.loads((published.folder / sbom.name).read_text(encoding="utf-8")).get("name", "")
    return Statement(sbom.name, "its own name", recorded == f"{product.name}-{product.version}-{sbom.target}", recorded)


def _compare_installed(keg: Path, published: Published) -> Statement:
    """Compare a keg with the bottle that has the same checksums; brew before 5.1.15 rewrites poured files on Linux."""
    sums = keg / CHECKSUMS
    text = sums.read_text(encoding="utf-8") if sums.is_file() else ""
    for bottle in published.release.of_kind("bottle"):
        if _checksums(bottle, published)[0] == text:
            found = {name: digest.sha256_of(keg / name) for name in digest.parse_sums(text) if (keg / name).is_file()}
            return _compare_files(bottle.name, "installed files", text, found)
    return Statement(str(keg), "installed files", False, "its checksums match no bottle of this release")


def _checksums(bottle: Artefact, published: Published) -> tuple[str, dict[str, str]]:
    product = published.release.product
    return read_checksums(published.folder / bottle.name, product.name, product.version)


def _compare_files(name: str, place: str, sums: str, found: Mapping[str, str]) -> Statement:
    wrong = sorted(path for path, sha256 in digest.parse_sums(sums).items() if found.get(path) != sha256)
    summary = f"{len(wrong)} differ, such as {wrong[0]}" if wrong else f"{len(found)} files"
    return Statement(name, place, not wrong, summary)
