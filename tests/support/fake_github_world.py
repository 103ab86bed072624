"""The state of the fake GitHub: releases with their assets, pull requests, and a real git repository.

Sources: GitHub's REST documentation of releases, release assets, git references, pull requests and immutable releases.
"""

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Json = dict[str, Any]
Found = TypeVar("Found")


class RefusedError(Exception):
    """A request that GitHub rejects."""

    def __init__(self, status: int, message: str, *errors: Json) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, errors


@dataclass
class FakeAsset:
    """One asset; its `state` is `starter` if its upload was incomplete."""

    number: int
    name: str
    content: bytes
    state: str = "uploaded"


@dataclass
class FakeRelease:
    """One release; as long as it is a draft, its `tag` need not exist."""

    number: int
    tag: str
    target: str
    title: str
    notes: str | None
    draft: bool
    prerelease: bool
    immutable: bool = False
    assets: list[FakeAsset] = field(default_factory=list)


@dataclass
class FakeRepository:
    """A repository `owner/name` with its bare git repository; with `immutable`, published releases cannot change.

    `used_tags` are those of deleted immutable releases.
    """

    name: str
    git: Path
    immutable: bool = True
    releases: list[FakeRelease] = field(default_factory=list)
    pulls: list[Json] = field(default_factory=list)
    attestations: list[Json] = field(default_factory=list)
    issues: list[Json] = field(default_factory=list)
    used_tags: set[str] = field(default_factory=set)
    last_number: int = 0

    def next_number(self) -> int:
        """Return an unused number."""
        self.last_number += 1
        return self.last_number

    def run_git(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """Run git in the bare repository with a fixed identity; return its output."""
        identity = ("-c", "user.name=b", "-c", "user.email=b@example.invalid")
        command = ["git", "-C", str(self.git), *identity, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=check).stdout.strip()

    def commit_of(self, ref: str) -> str:
        """Return the commit of a ref, or an empty string."""
        return self.run_git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)

    def release(self, number: int) -> FakeRelease:
        """Return a release by its number."""
        return _first(release for release in self.releases if release.number == number)

    def asset(self, number: int) -> tuple[FakeRelease, FakeAsset]:
        """Return an asset by its number, with its release."""
        pairs = ((release, asset) for release in self.releases for asset in release.assets)
        return _first(pair for pair in pairs if pair[1].number == number)

    def published(self, tag: str) -> FakeRelease:
        """Return the published release of a tag."""
        return _first(release for release in self.releases if release.tag == tag and not release.draft)

    def create_release(self, fields: Json) -> FakeRelease:
        """Create a release. As on the real GitHub, several drafts may name the same tag."""
        self._check_target(str(fields.get("target_commitish") or "main"))
        release = FakeRelease(
            self.next_number(),
            str(fields["tag_name"]),
            str(fields.get("target_commitish") or "main"),
            str(fields.get("name", "")),
            fields.get("body"),
            draft=True,
            prerelease=bool(fields.get("prerelease")),
        )
        if not fields.get("draft"):
            self._publish(release)
        self.releases.insert(0, release)
        return release

    def change_release(self, release: FakeRelease, fields: Json) -> None:
        """Publish a draft; no other change is supported. As on the real GitHub, a draft loses a tag that is not named."""
        if not release.draft:
            return
        release.target = str(fields.get("target_commitish") or release.target)
        self._check_target(release.target)
        release.tag = str(fields.get("tag_name") or f"untagged-{release.number}")
        if fields.get("draft") is False:
            self._publish(release)

    def _check_target(self, target: str) -> None:
        """Refuse an unknown target and, as for a job's token, one with other workflows than the default branch."""
        if not self.commit_of(target):
            raise RefusedError(422, "Validation Failed", _wrong("Release", "invalid", "target_commitish"))
        words = ("diff", "--name-only", "--diff-filter=AM", "main", target, "--", ".github/workflows")
        if self.run_git(*words, check=False):
            raise RefusedError(403, "Resource not accessible by integration")

    def _publish(self, release: FakeRelease) -> None:
        """Publish a release, and create its tag if that does not exist."""
        if release.tag in self.used_tags:
            problem = _wrong("Release", "custom", "tag_name", "tag_name was used by an immutable release")
            raise RefusedError(422, "Validation Failed", problem)
        if any(other.tag == release.tag and not other.draft for other in self.releases):
            raise RefusedError(422, "Validation Failed", _wrong("Release", "already_exists", "tag_name"))
        if not self.commit_of(f"refs/tags/{release.tag}"):
            self.run_git("update-ref", f"refs/tags/{release.tag}", self.commit_of(release.target))
        release.draft, release.immutable = False, self.immutable
        if release.immutable:
            self.attestations.append(_release_attestation(release))

    def delete_release(self, release: FakeRelease) -> None:
        """Delete a release. As on the real GitHub, the tag of an immutable one can never be released again."""
        self.releases.remove(release)
        if release.immutable:
            self.used_tags.add(release.tag)

    def add_asset(self, release: FakeRelease, name: str, content: bytes) -> FakeAsset:
        """Add an uploaded asset; its name must be unique, even among failed uploads."""
        if release.immutable:
            raise RefusedError(422, "Cannot upload assets to an immutable release")
        if any(asset.name == name for asset in release.assets):
            raise RefusedError(422, "Validation Failed", _wrong("ReleaseAsset", "already_exists", "name"))
        asset = FakeAsset(self.next_number(), name, content)
        release.assets.append(asset)
        return asset

    def delete_asset(self, release: FakeRelease, asset: FakeAsset) -> None:
        """Remove an asset, unless the release is immutable."""
        if release.immutable:
            raise RefusedError(422, "Cannot delete assets of an immutable release")
        release.assets.remove(asset)

    def open_pull_request(self, fields: Json, pages: str) -> Json:
        """Open a pull request from an existing branch that has no open one; `pages` is the repository's web address."""
        head, base = fields["head"], fields["base"]
        if not self.commit_of(f"refs/heads/{head}"):
            raise RefusedError(422, "Validation Failed", _wrong("PullRequest", "invalid", "head"))
        if any((pull["head"], pull["base"], pull["state"]) == (head, base, "open") for pull in self.pulls):
            problem = _wrong("PullRequest", "custom", "", f"A pull request already exists for {head}.")
            raise RefusedError(422, "Validation Failed", problem)
        number = self.next_number()
        self.pulls.append({**fields, "number": number, "state": "open", "html_url": f"{pages}/pull/{number}"})
        return self.pulls[-1]


def _first(found: Iterator[Found]) -> Found:
    for one in found:
        return one
    raise RefusedError(404, "Not Found")


def _wrong(resource: str, code: str, name: str, message: str = "") -> Json:
    return {"resource": resource, "code": code, "field": name} | ({"message": message} if message else {})


def sha256(content: bytes) -> str:
    """Return the digest in the form of GitHub's assets, `sha256:HEX`."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _release_attestation(release: FakeRelease) -> Json:
    """Return the statement that GitHub itself makes about an immutable release; it names every asset."""
    subjects = [
        {"name": one.name, "digest": {"sha256": hashlib.sha256(one.content).hexdigest()}} for one in release.assets
    ]
    tag = {"uri": f"pkg:github/{release.tag}", "digest": {"sha1": "0" * 40}}
    return {**attestation("", "https://in-toto.io/attestation/release/v0.2", {}), "subject": [tag, *subjects]}


def attestation(sha256: str, kind: str, predicate: object) -> Json:
    """Return an in-toto statement about a digest, as stored by `actions/attest`."""
    subject = [{"name": "a file", "digest": {"sha256": sha256}}]
    kinds = {"_type": "https://in-toto.io/Statement/v1", "predicateType": kind}
    return {**kinds, "subject": subject, "predicate": predicate}
