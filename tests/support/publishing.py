"""A GitHub on this machine with a release to publish there: what the tests of publishing begin with."""

import contextlib
import functools
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from stigmer_packaging.cli import ci_environment
from stigmer_packaging.cli import main as cli
from stigmer_packaging.lib import command
from stigmer_packaging.pipeline.system import read_platform
from stigmer_packaging.publish.github import Access, GitHub
from stigmer_packaging.publish.plan import PublicationPlan
from stigmer_packaging.publish.publish import publish_release
from stigmer_packaging.publish.tap_change import TapPlace
from support.fake_github import RunningGitHub, github_at
from support.fake_github_world import FakeRepository
from support.manifest_texts import text_with
from support.publishable import (
    ENVIRON,
    PATH,
    REPOSITORY,
    TARGETS,
    TOKEN,
    Publisher,
    changelog_of,
    first_commit,
    lay_release,
    plan_for,
)

READER = "ghs_mayOnlyRead"
APP_TOKEN = "ghs_ofTheAppThatMayWriteToTheTap"  # noqa: S105 - nobody's
OTHER = "stigmer/homebrew-elsewhere"
HERE = str(read_platform(platform.system(), platform.machine()))
BOTH = tuple(dict.fromkeys((HERE, TARGETS[0])))


class PreparedRelease(NamedTuple):
    """A GitHub, a release to publish there with its plan, and who publishes."""

    github: RunningGitHub
    publisher: Publisher
    folder: Path
    plan: PublicationPlan
    root: Path

    @property
    def repository(self) -> FakeRepository:
        """The repository on GitHub."""
        return self.github.world.repositories[REPOSITORY]

    def publish(self) -> str:
        """Publish, and give what is said of the tap: its commit or the pull request."""
        done = self.publisher.publish(self.plan, self.folder)
        return done.pull_request or done.tap_commit

    def publish_with(self, host: GitHub, place: TapPlace) -> None:
        """Publish with one's own access to GitHub or to the tap."""
        publish_release(self.plan, self.folder, host, place, report=lambda _: None)

    def next_release(self, version: str, content: str = "one") -> tuple[PublicationPlan, Path]:
        """Lay and plan another release."""
        folder = self.root / f"release-{version}-{content}"
        lay_release(folder, version, content=content)
        return plan_for(folder, self.plan.commit), folder

    def formula(self) -> str:
        """Give the tap's formula as everybody reads it."""
        return self.repository.run_git("show", f"main:{PATH}", check=False)


@contextlib.contextmanager
def prepare_release(root: Path, folder: Path, *, proposed: bool = False) -> Iterator[PreparedRelease]:
    """Give a fresh one with the release in `folder`, whose formula is pushed to the tap or proposed."""
    with github_at(root / "github", [REPOSITORY], {TOKEN: "write", READER: "read"}) as github:
        plan = plan_for(folder, first_commit(github), pull_request=proposed)
        yield PreparedRelease(github, Publisher(github, root / "scratch"), folder, plan, root)


class PublishingCommands(NamedTuple):
    """Where somebody publishes from by commands: a GitHub, and a folder with the manifest, the changelog and releases."""

    github: RunningGitHub
    root: Path

    @property
    def repository(self) -> FakeRepository:
        """The repository on GitHub."""
        return self.github.world.repositories[REPOSITORY]

    def write_release(self, version: str, *, tap: str = "self", says: str = "", sboms: bool = False) -> Path:
        """Lay a release and the manifest it is of."""
        changes = [("  version: 2.0.0", f"  version: {version}"), ("  tap: self", f"  tap: {tap}")]
        (self.root / "manifest.yaml").write_text(text_with(*changes), encoding="utf-8")
        folder = self.root / version
        lay_release(folder, version, targets=BOTH, tap=tap, says=says, sboms=sboms)
        return folder

    def run(self, *words: str) -> int:
        """Run a command of the command line."""
        given = [f"--manifest={self.root}/manifest.yaml"]
        if words[0] == "publish":
            given += [f"--changelog={self.root}/CHANGELOG.md", *(f"--target={target}" for target in BOTH)]
        return cli.run([*words, *given])

    def formula(self) -> str:
        """Give the tap's formula."""
        return self.repository.run_git("show", f"main:{PATH}", check=False)


@contextlib.contextmanager
def publishing_commands(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublishingCommands]:
    """Give one with the environment of a workflow's job, where nobody waits."""
    (root / "CHANGELOG.md").write_text(changelog_of("2.0.0", "2.0.1", "2.0.2"), encoding="utf-8")
    with github_at(root / "github", [REPOSITORY, OTHER], {TOKEN: "write", APP_TOKEN: "write"}) as github:
        for name in ("GITHUB_REF_TYPE", "GITHUB_REF_NAME", "TAP_TOKEN", "TAP_DEPLOY_KEY"):
            monkeypatch.delenv(name, raising=False)
        job = {**github.environment, "GITHUB_TOKEN": TOKEN, "GITHUB_SHA": first_commit(github)}
        for name, value in job.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(ci_environment, "Access", functools.partial(Access, pause=lambda _: None))
        yield PublishingCommands(github, root)


def change_tap(repository: FakeRepository, path: str, text: str) -> str:
    """Commit to the tap as somebody else does."""
    place = ("git", "-C", repository.git)
    blob = command.run([*place, "hash-object", "-w", "--stdin"], env=ENVIRON, stdin=text).stdout.strip()
    index = {"GIT_INDEX_FILE": str(repository.git / "other-index"), **ENVIRON}
    for words in (["read-tree", "main"], ["update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"]):
        command.run([*place, *words], env=index)
    tree = command.run([*place, "write-tree"], env=index).stdout.strip()
    commit = repository.run_git("commit-tree", tree, "-p", "main", "-m", "B")
    repository.run_git("update-ref", "refs/heads/main", commit)
    return commit
