"""What forbids publishing a release. Each rule takes the release and what is known besides, and yields problems."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from stigmer_packaging.formula.reading import Download, parse_formula
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import bottle_name, release_root, release_tag, source_archive_name
from stigmer_packaging.records.release import Artefact, Release, level_of

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ASSET_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
"""Names that GitHub keeps as they are; it replaces other characters by dots, and nobody would find the file."""


@dataclass(frozen=True)
class Evidence:
    """What a release is held against.

    `commit` is what the tag shall name, `tag` the tag that started this (or empty), `targets` those that must be there,
    `versions` what each bottle says of itself, by its sha256; `notes` the changelog's section; `not_run` the targets
    that may be published although no machine of their kind has run them.
    """

    manifest: Manifest
    formula: str
    commit: str
    tag: str
    targets: tuple[str, ...]
    versions: Mapping[str, str]
    notes: str
    not_run: tuple[str, ...] = ()


Rule = Callable[[Release, Evidence], Iterator[str]]


def the_manifest_agrees(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand that the release is of the product the manifest describes now."""
    if release.product != evidence.manifest.product:
        yield (
            f"the release is of {release.product.name} {release.product.version} as another manifest described it; "
            f"this one describes {evidence.manifest.product.name} {evidence.manifest.product.version}"
        )


def the_version_can_be_ordered(release: Release, _evidence: Evidence) -> Iterator[str]:
    """Demand a version whose place among others is known: X.Y.Z, or a pre-release of it."""
    text = release.product.version
    try:
        version = Version(text)
    except InvalidVersion:
        yield f"{text} cannot be ordered among other versions; a pre-release is called such as 2.1.0-rc.1"
        return
    if len(version.release) != 3 or version.is_postrelease or version.local or version.epoch:
        yield f"{text} is neither X.Y.Z nor a pre-release of it"


def tag_and_commit_are_known(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand a whole commit for the tag, and that the tag which started this is the version's."""
    expected = release_tag(release.product.version)
    if evidence.tag and evidence.tag != expected:
        yield f"this runs for the tag {evidence.tag}, and the release is {expected}"
    if not _COMMIT.fullmatch(evidence.commit):
        yield f"the commit that {expected} is to name is not known"


def there_are_notes(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand that the changelog speaks of the version."""
    if not evidence.notes:
        yield f"CHANGELOG.md has no section '## {release.product.version}' with anything in it"


def every_target_has_its_bottle(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand exactly one bottle for each target, named as brew asks for it."""
    product, bottles = release.product, release.of_kind("bottle")
    found = Counter(bottle.target for bottle in bottles)
    for target in evidence.targets:
        if found[target] != 1:
            yield f"there are {found[target]} bottles for {target}, and one is needed"
    for bottle in bottles:
        spec = evidence.manifest.targets.get(bottle.target)
        tag = spec.bottle if spec else ""
        if bottle.target not in evidence.targets:
            yield f"{bottle.name} is for {bottle.target or 'no target'}, which is not published"
        elif bottle.tag != tag or bottle.name != bottle_name(product.name, product.version, tag, bottle.rebuild):
            yield f"{bottle.name} is not what brew asks for on {bottle.target}"


def every_bottle_is_audited(release: Release, _evidence: Evidence) -> Iterator[str]:
    """Demand, for the very bytes of each bottle, an audit without errors."""
    yield from unaudited(release)


def unaudited(release: Release) -> Iterator[str]:
    """Name the bottles without an audit, or with errors in it."""
    for bottle in release.of_kind("bottle"):
        audits = [audit for audit in release.audits if audit.bottle_sha256 == bottle.sha256]
        if not audits or not all(audit.passed for audit in audits):
            yield f"{bottle.name} " + ("has errors in its audit" if audits else "was not audited")


def all_that_runs_is_proved(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand, for the very bytes of each bottle and single file, that a machine of its kind ran it, and no failure.

    What no such machine has run may only be published by name.
    """
    yield from unproved(release, evidence.not_run)


def unproved(release: Release, not_run: Sequence[str] = ()) -> Iterator[str]:
    """Name the bottles and single files that failed, or that no machine of their kind ran; `not_run` may be unrun."""
    for artefact in release.of_programs():
        reports, target = release.reports_on(artefact), artefact.target
        if not all(report.passed for report in reports):
            yield f"{artefact.name} failed its verification on a machine"
        elif all(report.emulated for report in reports) and target not in not_run:
            yield (
                f"no {target} machine has run {artefact.name} ({level_of(artefact, release)}); "
                f"verify it on one, or publish it all the same with --not-run {target}"
            )


def every_bottle_runs_where_promised(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand no newer C library than the manifest promises: a bottle made for one machine passes its audit there."""
    for audit in release.audits:
        spec = evidence.manifest.targets.get(audit.target)
        floor = spec.glibc_floor if spec else ""
        if floor and audit.glibc and Version(audit.glibc) > Version(floor):
            yield f"the bottle for {audit.target} needs glibc {audit.glibc}, and {floor} is promised"


def every_bottle_says_the_version(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand that each bottle, asked for its version, says the release's."""
    for bottle in release.of_kind("bottle"):
        said, version = evidence.versions.get(bottle.sha256, "nothing"), release.product.version
        if said != version:
            yield f"{bottle.name} says it is version {said}, and the release is {version}"


def the_formula_names_these_bytes(release: Release, evidence: Evidence) -> Iterator[str]:
    """Demand one formula and one source, and that the formula names exactly this release's files by their sha256."""
    product = release.product
    root = release_root(product.repository, product.version)
    for kind in ("formula", "source"):
        if len(release.of_kind(kind)) != 1:
            yield f"there are {len(release.of_kind(kind))} files of kind {kind}, and one is needed"
    facts = parse_formula(evidence.formula)
    named = facts.downloads(product.name) if facts else ()
    held = {_address(root, artefact) for kind in ("bottle", "source") for artefact in release.of_kind(kind)}
    if facts and facts.version != product.version:
        yield f"the formula is of version {facts.version}, and the release is {product.version}"
    for download in sorted(set(named) ^ held, key=str):
        there = "names" if download in named else "does not name"
        yield f"the formula {there} {download.url} with sha256 {download.sha256}"
    if not any(artefact.name == source_archive_name(product.name, product.version) for artefact in release.artefacts):
        yield f"there is no {source_archive_name(product.name, product.version)}"


RULES: tuple[Rule, ...] = (
    the_manifest_agrees,
    the_version_can_be_ordered,
    tag_and_commit_are_known,
    there_are_notes,
    every_target_has_its_bottle,
    every_bottle_is_audited,
    all_that_runs_is_proved,
    every_bottle_runs_where_promised,
    every_bottle_says_the_version,
    the_formula_names_these_bytes,
)


def problems_of(release: Release, names: Sequence[str], evidence: Evidence) -> list[str]:
    """Hold every rule against a release whose assets would have these names."""
    return [*asset_names(names), *(problem for rule in RULES for problem in rule(release, evidence))]


def asset_names(names: Sequence[str]) -> Iterator[str]:
    """Demand names that GitHub keeps, each once."""
    yield from (f"GitHub would change the name {name}" for name in names if not _ASSET_NAME.fullmatch(name))
    yield from (f"{count} files are called {name}" for name, count in Counter(names).items() if count > 1)


def backward_steps(version: str, found: Sequence[tuple[str, str]]) -> list[str]:
    """Name everything already out that is newer than `version`; `found` are pairs of where and version.

    A version that cannot be read counts as newer: nobody knows what would be taken from users.
    """
    return [f"{where} is at {other}" for where, other in found if not _is_at_most(other, version)]


def _is_at_most(other: str, version: str) -> bool:
    try:
        return Version(other) <= Version(version)
    except InvalidVersion:
        return False


def _address(root: str, artefact: Artefact) -> Download:
    return Download(f"{root}/{artefact.name}", artefact.sha256)
