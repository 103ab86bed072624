"""A GitHub on this machine with a release to publish there: what the tests of publishing begin with."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command
from stigmer_packaging.publish.plan import PublicationPlan
from support.fake_github import RunningGitHub, github_at
from support.fake_github_world import FakeRepository
from support.publishable import (
    ENVIRON,
    PATH,
    REPOSITORY,
    TOKEN,
    Publisher,
    first_commit,
    lay_release,
    plan_for,
)

READER = "ghs_mayOnlyRead"


class Studio(NamedTuple):
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

    def next_release(self, version: str, content: str = "one") -> tuple[PublicationPlan, Path]:
        """Lay and plan another release."""
        folder = self.root / f"release-{version}-{content}"
        lay_release(folder, version, content=content)
        return plan_for(folder, self.plan.commit), folder

    def formula(self) -> str:
        """Give the tap's formula as everybody reads it."""
        return self.repository.run_git("show", f"main:{PATH}", check=False)


@contextlib.contextmanager
def open_studio(root: Path) -> Iterator[Studio]:
    """Give a fresh one."""
    folder = root / "release"
    lay_release(folder, "2.0.0")
    with github_at(root / "github", [REPOSITORY], {TOKEN: "write", READER: "read"}) as github:
        yield Studio(github, Publisher(github, root / "scratch"), folder, plan_for(folder, first_commit(github)), root)


def change_tap(repository: FakeRepository, path: str, text: str) -> str:
    """Commit to the tap as somebody else does."""
    place = ("git", "-C", repository.git)
    blob = command.run([*place, "hash-object", "-w", "--stdin"], env=ENVIRON, stdin=text).stdout.strip()
    index = {"GIT_INDEX_FILE": str(repository.git / "other-index"), **ENVIRON}
    for words in (["read-tree", "main"], ["update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"]):
        command.run([*place, *words], env=index)
    tree = command.run([*place, "write-tree"], env=index).stdout.strip()
    commit = repository.run_git(
        "-c", "user.name=b", "-c", "user.email=b@b", "commit-tree", tree, "-p", "main", "-m", "B"
    )
    repository.run_git("update-ref", "refs/heads/main", commit)
    return commit
