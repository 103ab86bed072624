"""`release.json`: what one release is, the single thing that later stages and other machines read of it.

It lies beside the files it describes. Paths in it are relative to its own folder, sizes in bytes, sha256 in hex.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.records.model import AuditReport, LeftOut, VerificationReport
from stigmer_packaging.records.text import parse_record

NAME = "release.json"
FORMAT = 2
"""The format's number: a reader refuses any other."""

NOT_RUN = "audited, loader simulated, not run"
EMULATED = "verified by emulation"
VERIFIED = {
    "mac": "verified on a Mac (report)",
    "macos": "verified on a Mac (report)",
    "vm": "verified in a virtual machine",
    "sandbox": "verified in a sandbox",
}
"""What a passed verification on a real processor is called, by its level; the first one that applies counts."""


@dataclass(frozen=True)
class Artefact:
    """What a ReleaseFile says of one file, whose `name` is its path in the release's folder.

    `verified` is the verification level of what can be run; see level_of.
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
        """What it is called as an asset, which has no folder."""
        return PurePosixPath(self.name).name


@dataclass(frozen=True)
class Release:
    """All artefacts of one version, sorted by name, and what audit and verification say of its bottles.

    `left_out` has what frozen services were shipped without, by TARGET/COMPONENT. `commit` is the one of this repository that
    all of it was made from, empty for a tree with changes that were not committed. There are no checksums of `release.json`
    itself and of `SHA256SUMS`, which hold those of the others.
    """

    product: Product
    artefacts: tuple[Artefact, ...]
    audits: tuple[AuditReport, ...] = ()
    verifications: tuple[VerificationReport, ...] = ()
    left_out: Mapping[str, tuple[LeftOut, ...]] = field(default_factory=dict)
    format: int = FORMAT
    commit: str = ""

    def of_kind(self, kind: str) -> tuple[Artefact, ...]:
        """List the artefacts of one kind."""
        return tuple(artefact for artefact in self.artefacts if artefact.kind == kind)

    def of_programs(self, target: str = "") -> tuple[Artefact, ...]:
        """List the artefacts that can be run, and so verified: bottles and single files; with a target, its own."""
        programs = (*self.of_kind("bottle"), *self.of_kind("program"))
        return tuple(artefact for artefact in programs if target in {"", artefact.target})

    def reports_on(self, artefact: Artefact) -> tuple[VerificationReport, ...]:
        """List the verifications of an artefact's very bytes."""
        return tuple(report for report in self.verifications if report.bottle_sha256 == artefact.sha256)

    def checksums(self) -> str:
        """Give the text of the `SHA256SUMS` beside it."""
        return digest.render_sums((artefact.name, artefact.sha256) for artefact in self.artefacts)

    def is_proved(self, artefact: Artefact) -> bool:
        """Whether a machine of its kind ran these very bytes, and no machine reported a failure."""
        reports = self.reports_on(artefact)
        return all(report.passed for report in reports) and not all(report.emulated for report in reports)


def level_of(artefact: Artefact, release: Release) -> str:
    """Give the verification level of an artefact that can be run: by the strongest of its reports, if all passed."""
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


def with_levels(release: Release) -> Release:
    """Give the release with the verification level in each artefact that has one."""
    programs = release.of_programs()
    marked = (replace(one, verified=level_of(one, release)) if one in programs else one for one in release.artefacts)
    return replace(release, artefacts=tuple(marked))


def parse_release(text: str | bytes) -> Release:
    """Read the text of `release.json`; RecordError when it has another format or is damaged."""
    try:
        named = json.loads(text)["format"]  # before anything else of it: another format may have other keys
    except (ValueError, LookupError, TypeError, RecursionError):
        named = FORMAT
    if named != FORMAT:
        remedy = "make the release again: scripts/release"
        raise RecordError(f"{NAME} has format {named}, and this reads {FORMAT}", remedy)
    return parse_record(text, Release, NAME)


def read_description(folder: Path) -> Release:
    """Read a folder's `release.json` alone; RecordError when there is none, or as parse_release."""
    try:
        return parse_release((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise RecordError(f"there is no {NAME} in {folder}", "make a release first: scripts/release") from None


def read_release(folder: Path) -> Release:
    """Read a folder's release; RecordError when there is none, or a file is missing or not what the release says."""
    release = read_description(folder)
    wrong = [artefact.name for artefact in release.artefacts if not _is_there(folder / artefact.name, artefact)]
    if wrong:
        raise RecordError(f"{folder} does not hold what its {NAME} says: {', '.join(wrong)}")
    return release


def _is_there(path: Path, artefact: Artefact) -> bool:
    return path.is_file() and path.stat().st_size == artefact.size and digest.sha256_of(path) == artefact.sha256
