"""`release.json`: the description of one release, and all that later stages and other machines need to read.

It is stored beside the files it describes. Paths in it are relative to its folder, sizes in bytes, sha256 in hex.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.records.model import AuditReport, OmittedModule, VerificationReport
from stigmer_packaging.records.text import parse_record

NAME = "release.json"
FORMAT = 3
"""The format version: readers refuse any other."""

NOT_RUN = "audited, loader simulated, not run"
EMULATED = "verified by emulation"
VERIFIED = {
    "mac": "verified on a Mac (report)",
    "macos": "verified on a Mac (report)",
    "vm": "verified in a virtual machine",
    "sandbox": "verified in a sandbox",
}
"""The verification level for a passed report on a real processor, by the report's level; the first match counts."""


@dataclass(frozen=True)
class Artefact:
    """The facts of a ReleaseFile; `name` is its path in the release's folder.

    `verified` is the verification level of a file that can be run; see level_of.
    """

    kind: str
    name: str
    size: int
    sha256: str
    target: str = ""
    tag: str = ""
    rebuild: int = 0
    verified: str = ""

    @property
    def asset(self) -> str:
        """Its name as an asset of a GitHub release, without folders."""
        return PurePosixPath(self.name).name


@dataclass(frozen=True)
class Release:
    """All artefacts of one version, sorted by name, and the audit and verification reports on its bottles.

    `omitted` lists the modules that frozen services omit, by TARGET/COMPONENT. `commit` is the commit of this
    repository that everything was built from, empty for a tree with uncommitted changes. `release.json` itself and
    `SHA256SUMS` have no checksums: they hold those of the others.
    """

    product: Product
    artefacts: tuple[Artefact, ...]
    audits: tuple[AuditReport, ...] = ()
    verifications: tuple[VerificationReport, ...] = ()
    omitted: Mapping[str, tuple[OmittedModule, ...]] = field(default_factory=dict)
    format: int = FORMAT
    commit: str = ""

    def of_kind(self, kind: str) -> tuple[Artefact, ...]:
        """Return the artefacts of one kind."""
        return tuple(artefact for artefact in self.artefacts if artefact.kind == kind)

    def of_programs(self, target: str = "") -> tuple[Artefact, ...]:
        """Return the artefacts that can be run and verified: bottles and single files; with a target, only its own."""
        programs = (*self.of_kind("bottle"), *self.of_kind("program"))
        return tuple(artefact for artefact in programs if target in {"", artefact.target})

    def reports_on(self, artefact: Artefact) -> tuple[VerificationReport, ...]:
        """Return the verification reports on exactly an artefact's bytes."""
        return tuple(report for report in self.verifications if report.bottle_sha256 == artefact.sha256)

    def checksums(self) -> str:
        """Return the text of the release's `SHA256SUMS`."""
        return digest.render_sums((artefact.name, artefact.sha256) for artefact in self.artefacts)

    def is_verified(self, artefact: Artefact) -> bool:
        """Return whether exactly these bytes ran without emulation, and no report is a failure."""
        reports = self.reports_on(artefact)
        return all(report.passed for report in reports) and not all(report.emulated for report in reports)


def level_of(artefact: Artefact, release: Release) -> str:
    """Return the verification level of an artefact that can be run: that of its strongest report, if all passed."""
    reports = release.reports_on(artefact)
    if not all(report.passed for report in reports):
        return "verification failed"
    ran = {report.level for report in reports if not report.emulated}
    if ran:
        return next((words for level, words in VERIFIED.items() if level in ran), "verified")
    if reports:
        return EMULATED
    audited = any(audit.target == artefact.target and audit.passed for audit in release.audits)
    return NOT_RUN if audited else "not run"


def mark_levels(release: Release) -> Release:
    """Return the release with `verified` set in each artefact that can be run."""
    programs = release.of_programs()
    marked = (replace(one, verified=level_of(one, release)) if one in programs else one for one in release.artefacts)
    return replace(release, artefacts=tuple(marked))


def parse_release(text: str | bytes) -> Release:
    """Parse the text of `release.json`; RecordError if it has another format or is damaged."""
    try:
        version = json.loads(text)["format"]  # first: another format may have other keys
    except (ValueError, LookupError, TypeError, RecursionError):
        version = FORMAT
    if version != FORMAT:
        remedy = "make the release again: scripts/release"
        raise RecordError(f"{NAME} has format {version}, but this version reads format {FORMAT}", remedy)
    return parse_record(text, Release, NAME)


def read_description(folder: Path) -> Release:
    """Read only a folder's `release.json`; RecordError if it is missing, or as in parse_release."""
    try:
        return parse_release((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise RecordError(f"there is no {NAME} in {folder}", "make a release first: scripts/release") from None


def read_release(folder: Path) -> Release:
    """Read a folder's release; RecordError if it or a file is missing, or if a file differs from its description."""
    release = read_description(folder)
    wrong = [artefact.name for artefact in release.artefacts if not _is_intact(folder / artefact.name, artefact)]
    if wrong:
        raise RecordError(f"files in {folder} are missing or differ from {NAME}: {', '.join(wrong)}")
    return release


def _is_intact(path: Path, artefact: Artefact) -> bool:
    return path.is_file() and path.stat().st_size == artefact.size and digest.sha256_of(path) == artefact.sha256
