"""The rules that forbid publishing a release. Each takes the release and the request, and yields problems."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from stigmer_packaging.formula.reading import Download, parse_formula
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import bottle_name, release_root, release_tag, source_archive_name
from stigmer_packaging.records.release import Release, level_of

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ASSET_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
"""Names that GitHub keeps; it replaces other characters with dots, so that downloads would not find the file."""


@dataclass(frozen=True)
class PublicationRequest:
    """What a release is checked against, and how it is to be published: for which targets, and how the tap is changed.

    `notes` is the version's text in the changelog; `commit` is what the tag must point to; `versions` are what the
    bottles themselves report, by sha256; `checksums` is the text of `SHA256SUMS`; `tag` is the tag that started this
    run, or empty; `not_run` are the targets that may be published although no machine of their kind has run them.
    """

    manifest: Manifest
    formula: str
    notes: str
    commit: str
    targets: tuple[str, ...]
    versions: Mapping[str, str]
    checksums: str
    tag: str = ""
    branch: str = "main"
    pull_request: bool = False
    not_run: tuple[str, ...] = ()


def _manifest_matches(release: Release, request: PublicationRequest) -> Iterator[str]:
    if release.product != request.manifest.product:
        yield (
            f"the release of {release.product.name} {release.product.version} was built from a different manifest; "
            f"this one describes {request.manifest.product.name} {request.manifest.product.version}"
        )


def _version_is_valid(release: Release, _request: PublicationRequest) -> Iterator[str]:
    """Require a version that can be compared with others: X.Y.Z, or a pre-release of it."""
    text = release.product.version
    version = version_in(text)
    if version is None:
        yield f"{text} cannot be ordered among other versions; name a pre-release like 2.1.0-rc.1"
    elif len(version.release) != 3 or version.is_postrelease or version.local or version.epoch:
        yield f"{text} is neither X.Y.Z nor a pre-release of it"


def _tag_and_commit_match(release: Release, request: PublicationRequest) -> Iterator[str]:
    expected = release_tag(release.product.version)
    if request.tag and request.tag != expected:
        yield f"this run is for the tag {request.tag}, but the release is {expected}"
    if not _COMMIT.fullmatch(request.commit):
        yield f"the commit for the tag {expected} is not known"
    elif release.commit != request.commit:
        origin = release.commit or "no known commit, or one with changes"
        yield f"the files were built from {origin}, but {expected} would point to {request.commit}"


def _notes_exist(release: Release, request: PublicationRequest) -> Iterator[str]:
    if not request.notes:
        yield f"CHANGELOG.md has no section '## {release.product.version}', or it is empty"


def _targets_have_bottles(release: Release, request: PublicationRequest) -> Iterator[str]:
    """Require exactly one bottle for each target, with the name that brew requests."""
    product, bottles = release.product, release.of_kind("bottle")
    found = Counter(bottle.target for bottle in bottles)
    for target in request.targets:
        if found[target] != 1:
            yield f"found {found[target]} bottles for {target}; expected 1"
    for bottle in bottles:
        spec = request.manifest.targets.get(bottle.target)
        tag = spec.bottle if spec else ""
        if bottle.target not in request.targets:
            yield f"{bottle.name} is for {bottle.target or 'no target'}, which is not published"
        elif bottle.tag != tag or bottle.name != bottle_name(product.name, product.version, tag, bottle.rebuild):
            yield f"{bottle.name} is not what brew requests on {bottle.target}"


def _bottles_are_audited(release: Release) -> Iterator[str]:
    for bottle in release.of_kind("bottle"):
        audits = [audit for audit in release.audits if audit.bottle_sha256 == bottle.sha256]
        if not audits or not all(audit.passed for audit in audits):
            yield f"{bottle.name} " + ("has errors in its audit" if audits else "was not audited")


def _programs_are_verified(release: Release, not_run: Sequence[str]) -> Iterator[str]:
    """Require that a machine of the right kind ran every bottle and single file, byte for byte, and that none failed.

    A file that no such machine has run may be published only if its target is in `not_run`.
    """
    for artefact in release.of_programs():
        if not all(report.passed for report in release.reports_on(artefact)):
            yield f"{artefact.name} failed its verification on a machine"
        elif not release.is_verified(artefact) and artefact.target not in not_run:
            yield (
                f"no {artefact.target} machine has run {artefact.name} ({level_of(artefact, release)}); "
                f"verify it on one, or publish it anyway with --not-run {artefact.target}"
            )


def _glibc_floor_holds(release: Release, request: PublicationRequest) -> Iterator[str]:
    """Require no newer glibc than the manifest promises: a bottle made for a single machine passes its audit there."""
    for audit in release.audits:
        spec = request.manifest.targets.get(audit.target)
        floor = spec.glibc_floor if spec else ""
        if floor and audit.glibc and Version(audit.glibc) > Version(floor):
            yield f"the bottle for {audit.target} needs glibc {audit.glibc}, but the manifest promises {floor}"


def _bottles_report_the_version(release: Release, request: PublicationRequest) -> Iterator[str]:
    for bottle in release.of_kind("bottle"):
        reported, version = request.versions.get(bottle.sha256, "nothing"), release.product.version
        if reported != version:
            yield f"{bottle.name} reports version {reported}, but the release is {version}"


def _formula_matches(release: Release, request: PublicationRequest) -> Iterator[str]:
    """Require one formula and one source, and that the formula lists exactly this release's files with their sha256."""
    product = release.product
    root = release_root(product.repository, product.version)
    for kind in ("formula", "source"):
        if len(release.of_kind(kind)) != 1:
            yield f"found {len(release.of_kind(kind))} files of kind {kind}; expected 1"
    facts = parse_formula(request.formula)
    named = facts.downloads(product.name) if facts else ()
    files = (*release.of_kind("bottle"), *release.of_kind("source"))
    expected = {Download(f"{root}/{file.name}", file.sha256) for file in files}
    if facts and facts.version != product.version:
        yield f"the formula is for version {facts.version}, but the release is {product.version}"
    for download in sorted(set(named) ^ expected, key=str):
        verb = "names" if download in named else "does not name"
        yield f"the formula {verb} {download.url} with sha256 {download.sha256}"
    if not any(artefact.name == source_archive_name(product.name, product.version) for artefact in release.artefacts):
        yield f"there is no {source_archive_name(product.name, product.version)}"


def _checksums_match(release: Release, request: PublicationRequest) -> Iterator[str]:
    if request.checksums != release.checksums():
        yield "SHA256SUMS does not match these files; recreate it: scripts/release"


_RULES: tuple[Callable[[Release, PublicationRequest], Iterator[str]], ...] = (
    _manifest_matches,
    _version_is_valid,
    _tag_and_commit_match,
    _notes_exist,
    _targets_have_bottles,
    _glibc_floor_holds,
    _bottles_report_the_version,
    _formula_matches,
    _checksums_match,
)


def problems_of(release: Release, names: Sequence[str], request: PublicationRequest) -> list[str]:
    """Return the problems of all rules for a release whose assets have the given names."""
    problems = (problem for rule in _RULES for problem in rule(release, request))
    return [*_names_are_kept(names), *problems_in_records(release, request.not_run), *problems]


def problems_in_records(release: Release, not_run: Sequence[str] = ()) -> list[str]:
    """Return the problems of the rules that need nothing but the release's own records."""
    return [*_bottles_are_audited(release), *_programs_are_verified(release, not_run)]


def _names_are_kept(names: Sequence[str]) -> Iterator[str]:
    """Require names that GitHub does not change, each of them once."""
    yield from (f"GitHub would change the name {name}" for name in names if not _ASSET_NAME.fullmatch(name))
    yield from (f"{count} files are called {name}" for name, count in Counter(names).items() if count > 1)


def version_in(text: str) -> Version | None:
    """Parse a version or its tag; None if it cannot be compared with other versions."""
    try:
        return Version(text)
    except InvalidVersion:
        return None
