"""May this be published? What a release's records say of each platform, and what stands against publishing it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from stigmer_packaging.lib.target import ARCHITECTURES, SYSTEMS, Target
from stigmer_packaging.publish.rules import unaudited, unproved
from stigmer_packaging.records.model import AuditReport, VerificationReport
from stigmer_packaging.records.release import Artefact, Release

TARGETS = tuple(str(Target(*names)) for names in product(SYSTEMS, ARCHITECTURES))
"""All platforms that a release can be for."""


@dataclass(frozen=True)
class Program:
    """One file that can be run, a bottle or a single file, and the reports of the machines that ran its very bytes."""

    artefact: Artefact
    reports: tuple[VerificationReport, ...]

    @property
    def verified(self) -> bool:
        """Whether a machine of its kind ran it, and no machine reported a failure."""
        ran = any(not report.emulated for report in self.reports)
        return ran and all(report.passed for report in self.reports)


@dataclass(frozen=True)
class Platform:
    """One platform: its bottle and the audit of it, where there are any, and all that can be run there."""

    target: str
    bottle: Artefact | None
    audit: AuditReport | None
    programs: tuple[Program, ...]

    @property
    def audited(self) -> bool:
        """Whether the bottle was audited without an error."""
        return self.audit is not None and self.audit.passed


def problems_in_records(release: Release) -> tuple[str, ...]:
    """Say what stands against publishing, in the words and by the rules of `publish`; nothing where it may be published."""
    if not release.of_kind("bottle"):
        return ("there is no bottle in this release",)
    return (*unaudited(release), *unproved(release))


def platforms_of(release: Release) -> tuple[Platform, ...]:
    """Give every platform, those without a bottle too."""
    return tuple(_platform(target, release) for target in TARGETS)


def _platform(target: str, release: Release) -> Platform:
    bottle = next((one for one in release.of_kind("bottle") if one.target == target), None)
    sha256 = bottle.sha256 if bottle else ""
    audit = next((one for one in release.audits if one.bottle_sha256 == sha256), None)
    return Platform(target, bottle, audit, tuple(_programs(target, release)))


def _programs(target: str, release: Release) -> Iterator[Program]:
    for artefact in release.of_programs():
        if artefact.target == target:
            yield Program(artefact, release.reports_on(artefact))
