"""Small whole releases to publish, and what publishes them against a fake GitHub."""

import functools
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from stigmer_packaging.bottle.archive import Member, write_archive
from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib import digest
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import bottle_name, source_archive_name
from stigmer_packaging.manifest.reader import parse_manifest
from stigmer_packaging.pipeline.delivery import CHECKSUMS
from stigmer_packaging.publish.github import Access, GitHub
from stigmer_packaging.publish.plan import LocalFile, Publication, PublicationPlan, plan_publication
from stigmer_packaging.publish.publish import publish_release
from stigmer_packaging.publish.rules import PublicationRequest
from stigmer_packaging.publish.tap import git_environment, open_tap, with_token
from stigmer_packaging.publish.tap_change import TapPlace
from stigmer_packaging.records.model import AuditReport, Check, VerificationReport
from stigmer_packaging.records.release import NAME, Artefact, Release, read_release
from stigmer_packaging.records.text import render_record
from support.fake_github import RunningGitHub
from support.fake_github_answers import Request
from support.manifest_texts import text_with

REPOSITORY = "stigmer/homebrew-tap"
TOKEN = "ghs_aTokenThatMustNeverBeSeen"  # noqa: S105 - nobody's
TARGETS = ("darwin-arm64", "linux-amd64")
PATH = "Formula/stigmer.rb"


@functools.cache
def manifest_of(version: str, tap: str = "self") -> Manifest:
    """Give the repository's manifest with another version, and perhaps another tap."""
    return parse_manifest(text_with(("  version: 2.0.0", f"  version: {version}"), ("  tap: self", f"  tap: {tap}")))


def changelog_of(*versions: str) -> str:
    """Give a changelog that speaks of these versions."""
    return "# Changelog\n\n" + "".join(f"## {one} - 2026-11-22\n\n- What {one} brings.\n\n" for one in versions)


def lay_release(
    folder: Path,
    version: str,
    *,
    targets: tuple[str, ...] = TARGETS,
    content: str = "one",
    tap: str = "self",
    says: str = "",
    sboms: bool = False,
) -> Release:
    """Write a whole release, proved and small: bottles whose program and index say the version, or what `says` says."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of(version, tap)
    bottles = tuple(_lay_bottle(folder, manifest, target, (says or version, content)) for target in targets)
    source = folder / source_archive_name("stigmer", version)
    source.write_bytes(f"source of {version} {content}".encode())
    named = [(bottle.tag, bottle.sha256) for bottle in bottles]
    formula = folder / PATH
    formula.parent.mkdir(exist_ok=True)
    formula.write_text(render_formula(manifest, digest.sha256_of(source), named), encoding="utf-8")
    artefacts = (*bottles, _describe("source", source, folder), _describe("formula", formula, folder))
    if sboms:
        artefacts += tuple(_lay_sbom(folder, bottle, version) for bottle in bottles)
    release = Release(
        manifest.product,
        tuple(sorted(artefacts, key=lambda artefact: artefact.name)),
        tuple(AuditReport(one.target, one.sha256, (), 3, 9, (), "") for one in bottles),
        tuple(_proof_of(one) for one in bottles),
    )
    (folder / NAME).write_text(render_record(release), encoding="utf-8")
    sums = "".join(f"{one.sha256}  {one.name}\n" for one in release.artefacts)
    (folder / CHECKSUMS).write_text(sums, encoding="ascii")
    return release


def _lay_bottle(folder: Path, manifest: Manifest, target: str, said: tuple[str, str]) -> Artefact:
    (says, content), version, tag = said, manifest.product.version, manifest.targets[target].bottle
    program, index, sums = folder / "program", folder / "index", folder / "sums"
    made = folder / bottle_name("stigmer", version, tag)
    program.write_text(f"#!/bin/sh\necho stigmer {says} # {content} {target}\n", encoding="ascii")
    index.write_text(json.dumps({"version": says}), encoding="ascii")
    listed = {"bin/stigmer": program, "libexec/payload.json": index}
    sums.write_text("".join(f"{digest.sha256_of(file)}  {name}\n" for name, file in listed.items()), encoding="ascii")
    members = [Member("bin/stigmer", program, executable=True), Member("libexec/payload.json", index)]
    members.append(Member("libexec/SHA256SUMS", sums))
    write_archive(made, f"stigmer/{version}", members, mtime=0)
    for file in (program, index, sums):
        file.unlink()
    return Artefact("bottle", made.name, made.stat().st_size, digest.sha256_of(made), target, tag)


def _lay_sbom(folder: Path, bottle: Artefact, version: str) -> Artefact:
    path = folder / f"stigmer-{version}.{bottle.tag}.sbom.spdx.json"
    path.write_text(json.dumps({"name": f"stigmer-{version}-{bottle.target}"}), encoding="utf-8")
    return replace(_describe("sbom", path, folder), target=bottle.target, tag=bottle.tag)


def _describe(kind: str, path: Path, folder: Path) -> Artefact:
    return Artefact(kind, path.relative_to(folder).as_posix(), path.stat().st_size, digest.sha256_of(path))


def _proof_of(bottle: Artefact) -> VerificationReport:
    return VerificationReport("sandbox", "a guest", bottle.sha256, (Check("starts", True, 0.5, ""),), True)


def plan_for(folder: Path, commit: str, *, pull_request: bool = False) -> PublicationPlan:
    """Plan the publication of a folder's release."""
    release = read_release(folder)
    version = release.product.version
    files = [LocalFile(one.name, one.size, one.sha256) for one in release.artefacts]
    extra = [folder / name for name in (NAME, CHECKSUMS)]
    files += [LocalFile(path.name, path.stat().st_size, digest.sha256_of(path)) for path in extra]
    bottles = release.of_kind("bottle")
    request = PublicationRequest(
        commit,
        tuple(bottle.target for bottle in bottles),
        {bottle.sha256: version for bottle in bottles},
        pull_request=pull_request,
    )
    return plan_publication(
        release,
        files,
        manifest=manifest_of(version),
        changelog=changelog_of(version),
        formula=(folder / PATH).read_text(encoding="utf-8"),
        request=request,
    )


def first_commit(github: RunningGitHub) -> str:
    """Give the newest commit on the repository's main branch."""
    return github.world.repositories[REPOSITORY].commit_of("refs/heads/main")


@dataclass
class Publisher:
    """Publishes to a fake GitHub without ever waiting; `waits` is how long it would have, `said` what it told."""

    github: RunningGitHub
    scratch: Path
    waits: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    runs: int = 0
    attempts: int = 6

    def host(self, token: str = TOKEN) -> GitHub:
        """Give the repository as GitHub's API shows it."""
        at = self.github.world.addresses
        return GitHub(Access(token, at.api, at.server, self.said.append, self.waits.append, self.attempts), REPOSITORY)

    def place(self, token: str = TOKEN) -> TapPlace:
        """Open the tap anew, as every run does."""
        self.runs += 1
        server = self.github.world.addresses.server
        env = with_token(git_environment(build_environment(ENVIRON), "Release"), server, token)
        remote = f"{server}/{REPOSITORY}.git"
        return TapPlace(open_tap(remote, "main", self.scratch / f"run-{self.runs}", env), self.host(token))

    def publish(self, plan: PublicationPlan, folder: Path, token: str = TOKEN) -> Publication:
        """Carry out a plan."""
        tap = self.place(token) if plan.tap else None
        return publish_release(plan, folder, self.host(token), tap, report=self.said.append)


ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


@dataclass
class Observer:
    """Looks at what everybody can see after each request, and writes down what must never be seen."""

    github: RunningGitHub
    expected: dict[str, dict[str, str]]
    seen: list[str] = field(default_factory=list)
    uploads: Counter[str] = field(default_factory=Counter)
    looked_at: str = ""

    def look(self, request: Request) -> None:
        """Look at the releases, and at the formula when it has changed."""
        if request.path.startswith("/uploads/"):
            self.uploads[request.query["name"]] += 1
        repository = self.github.world.repositories[REPOSITORY]
        public = {}
        for release in repository.releases:
            if not release.draft:
                held = {asset.name: hashlib.sha256(asset.content).hexdigest() for asset in release.assets}
                public[release.tag] = held
                if held != self.expected.get(release.tag):
                    self.seen.append(
                        f"{release.tag} is public with {sorted(held)} after {request.method} {request.path}"
                    )
        head = (repository.git / "refs/heads/main").read_text(encoding="ascii")
        if head != self.looked_at:
            self.looked_at = head
            self._look_at_formula(repository.run_git("show", f"main:{PATH}", check=False), public)

    def _look_at_formula(self, text: str, public: dict[str, dict[str, str]]) -> None:
        facts = parse_formula(text)
        for download in facts.downloads("stigmer") if facts else ():
            tag, name = download.url.split("/")[-2:]
            if public.get(tag, {}).get(name) != download.sha256:
                self.seen.append(f"the formula names {download.url}, which is not there with these bytes")


def expected_assets(plan: PublicationPlan) -> dict[str, str]:
    """Give name and sha256 of each asset that a plan's release has."""
    return {file.name: file.sha256 for file in plan.assets}


def state_of(github: RunningGitHub) -> dict[str, object]:
    """Give what is there at the end, without numbers and times: releases, tags, the tap's text and its history's length."""
    repository = github.world.repositories[REPOSITORY]
    releases = [
        (
            one.tag,
            one.draft,
            one.prerelease,
            one.title,
            one.notes,
            sorted((a.name, a.content, a.state) for a in one.assets),
        )
        for one in repository.releases
    ]
    return {
        "releases": sorted(releases),
        "tags": repository.run_git("for-each-ref", "--format=%(refname) %(objectname)", "refs/tags"),
        "branches": repository.run_git("for-each-ref", "--format=%(refname)", "refs/heads"),
        "formula": repository.run_git("show", f"main:{PATH}", check=False),
        "commits": repository.run_git("rev-list", "--count", "main"),
        "pulls": [(pull.head, pull.base, pull.title) for pull in repository.pulls],
    }
