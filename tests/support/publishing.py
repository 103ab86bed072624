"""Fixtures for tests of publishing: a fake GitHub, and a release to publish there."""

import contextlib
import hashlib
import os
import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stigmer_packaging.cli import main as cli
from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.pipeline.system import read_platform
from stigmer_packaging.publish.github import Access, GitHub
from stigmer_packaging.publish.plan import Publication, PublicationPlan
from stigmer_packaging.publish.publish import publish_release
from stigmer_packaging.publish.tap import Tap, git_environment, open_tap, with_token
from support.fake_github import RunningGitHub, github_at
from support.fake_github_answers import Request
from support.fake_github_world import FakeRepository
from support.manifest_texts import text_with
from support.publishable import PATH, TARGETS, plan_for, write_release

REPOSITORY = "stigmer/homebrew-tap"
TOKEN = "ghs_aTokenThatMustNeverBeSeen"  # noqa: S105 - not a real one
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
READER = "ghs_mayOnlyRead"
APP_TOKEN = "ghs_ofTheAppThatMayWriteToTheTap"  # noqa: S105 - not a real one
OTHER = "stigmer/homebrew-elsewhere"
HOST = str(read_platform(platform.system(), platform.machine()))
PUBLISHED_TARGETS = tuple(dict.fromkeys((HOST, TARGETS[0])))


@dataclass
class GitHubWithTap:
    """A fake GitHub with one repository that is also the tap, and the root directory of all files."""

    github: RunningGitHub
    root: Path

    @property
    def repository(self) -> FakeRepository:
        """The repository on GitHub."""
        return self.github.world.repositories[REPOSITORY]

    def formula(self) -> str:
        """Return the tap's published formula, empty if there is none."""
        return self.repository.run_git("show", f"main:{PATH}", check=False)


@dataclass
class PreparedRelease(GitHubWithTap):
    """A release and its plan, to be published without waiting; `waits` lists the skipped pauses."""

    folder: Path
    plan: PublicationPlan
    waits: list[float] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    runs: int = 0
    attempts: int = 6

    def host(self, token: str = TOKEN) -> GitHub:
        """Return a client of the repository's API."""
        at = self.github.world
        return GitHub(
            Access(token, at.api, at.server, self.reports.append, self.waits.append, self.attempts), REPOSITORY
        )

    def tap(self, token: str = TOKEN) -> Tap:
        """Open the tap in a new scratch directory, as every run does."""
        self.runs += 1
        server = self.github.world.server
        env = with_token(git_environment(build_environment(ENVIRON), "Release"), server, token)
        scratch = self.root / "scratch" / f"run-{self.runs}"
        return open_tap(f"{server}/{REPOSITORY}.git", "main", scratch, env, self.host(token))

    def publish(
        self,
        plan: PublicationPlan | None = None,
        folder: Path | None = None,
        *,
        host: GitHub | None = None,
        tap: Tap | None = None,
    ) -> Publication:
        """Publish the release, or another one; `host` and `tap` replace the default access to GitHub and to the tap."""
        plan = plan or self.plan
        opened = (tap or self.tap()) if plan.tap else None
        return publish_release(plan, folder or self.folder, host or self.host(), opened, report=self.reports.append)

    def proposal(self) -> PublicationPlan:
        """Plan the same release with a pull request on the tap."""
        return plan_for(self.folder, self.plan.commit, pull_request=True)

    def next_release(self, version: str, content: str = "one") -> tuple[PublicationPlan, Path]:
        """Write and plan another release; return its plan and directory."""
        folder = self.root / f"release-{version}-{content}"
        write_release(folder, version, content=content)
        return plan_for(folder, self.plan.commit), folder


@contextlib.contextmanager
def prepare_release(root: Path, folder: Path, *, proposed: bool = False) -> Iterator[PreparedRelease]:
    """Yield a fresh GitHub with the release in `folder`; its formula is to be pushed to the tap, or proposed there."""
    with github_at(root / "github", [REPOSITORY], {TOKEN: "write", READER: "read"}) as github:
        yield PreparedRelease(
            github,
            root,
            folder,
            plan_for(folder, github.world.repositories[REPOSITORY].commit_of("main"), pull_request=proposed),
        )


class Observer:
    """Checks the public state after each request, and records in `violations` what the public must never see."""

    def __init__(self, prepared: PreparedRelease) -> None:
        self.prepared = prepared
        self.expected = {prepared.plan.tag: expected_assets(prepared.plan)}
        self.violations: list[str] = []
        self.uploads: Counter[str] = Counter()
        self.last_head = ""

    def check(self, request: Request) -> None:
        """Check the releases, and the formula if it has changed."""
        if request.path.startswith("/uploads/"):
            self.uploads[request.query["name"]] += 1
        repository = self.prepared.repository
        public = {
            release.tag: {asset.name: hashlib.sha256(asset.content).hexdigest() for asset in release.assets}
            for release in repository.releases
            if not release.draft
        }
        for tag, held in public.items():
            if held != self.expected.get(tag):
                self.violations.append(f"{tag} is public with {sorted(held)} after {request.method} {request.path}")
        head = (repository.git / "refs/heads/main").read_text(encoding="ascii")
        if head != self.last_head:
            self.last_head = head
            self._check_formula(public)

    def _check_formula(self, public: dict[str, dict[str, str]]) -> None:
        facts = parse_formula(self.prepared.formula())
        for download in facts.downloads("stigmer") if facts else ():
            tag, name = download.url.split("/")[-2:]
            if public.get(tag, {}).get(name) != download.sha256:
                self.violations.append(f"the formula names {download.url}, which is not published with these bytes")


def expected_assets(plan: PublicationPlan) -> dict[str, str]:
    return {file.asset: file.sha256 for file in plan.assets}


def state_of(place: GitHubWithTap) -> dict[str, object]:
    """Return the final state without numbers and times: releases, refs, formula, pulls, and the number of commits."""
    repository = place.repository
    return {
        "releases": [
            {**vars(one), "number": 0, "assets": sorted((each.name, each.content, each.state) for each in one.assets)}
            for one in repository.releases
        ],
        "tags": repository.run_git("for-each-ref", "--format=%(refname) %(objectname)", "refs/tags"),
        "branches": repository.run_git("for-each-ref", "--format=%(refname)", "refs/heads"),
        "formula": place.formula(),
        "commits": repository.run_git("rev-list", "--count", "main"),
        "pulls": [(pull["head"], pull["base"], pull["title"]) for pull in repository.pulls],
    }


@dataclass
class PublishingCommands(GitHubWithTap):
    """A place to publish from on the command line: `root` has the manifest, the changelog and releases."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def write_release(self, version: str, *, tap: str = "self", reported: str = "", sboms: bool = False) -> Path:
        """Write a release and its manifest; return the release's directory."""
        changes = [("  version: 2.0.0", f"  version: {version}"), ("  tap: self", f"  tap: {tap}")]
        (self.root / "manifest.yaml").write_text(text_with(*changes), encoding="utf-8")
        folder = self.root / version
        commit = os.environ["GITHUB_SHA"]
        write_release(
            folder, version, targets=PUBLISHED_TARGETS, tap=tap, reported=reported, sboms=sboms, commit=commit
        )
        return folder

    def run(self, *words: str) -> int:
        """Run a command of the pipeline's command line; return its exit code."""
        options = [f"--manifest={self.root}/manifest.yaml"]
        if words[0] == "publish":
            options += [
                f"--changelog={self.root}/CHANGELOG.md",
                *(f"--target={target}" for target in PUBLISHED_TARGETS),
            ]
        return cli.run([*words, *options])


def change_tap(repository: FakeRepository, path: str, text: str) -> None:
    """Commit to the tap as another client would."""
    change = f"from refs/heads/main^0\nM 100644 inline {path}\ndata {len(text.encode())}\n{text}\n"
    commit = f"commit refs/heads/main\ncommitter b <b@example.invalid> now\ndata 1\nB\n{change}"
    repository.run_git("fast-import", "--quiet", "--date-format=now", stdin=commit)
