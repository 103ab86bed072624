"""Publishing, cut at every single request and run again: the same end, and nobody ever saw half a release."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from stigmer_packaging.lib.errors import PackagingError
from support.fake_github import RunningGitHub, Trouble, github_at
from support.publishable import (
    REPOSITORY,
    TOKEN,
    Observer,
    Publisher,
    expected_assets,
    first_commit,
    lay_release,
    plan_for,
    state_of,
)

PARTS = 6
AT_LEAST = 50
"""Fewer requests than this and the test no longer cuts what it should."""


class Stage:
    """A fresh GitHub with a release to publish; `observer` sees every request."""

    def __init__(self, github: RunningGitHub, scratch: Path, folder: Path, *, proposed: bool) -> None:
        self.github, self.folder = github, folder
        self.plan = plan_for(folder, first_commit(github), pull_request=proposed)
        self.publisher = Publisher(github, scratch)
        self.observer = Observer(github, {self.plan.tag: expected_assets(self.plan)})
        github.after = self.observer.look

    def run(self) -> None:
        """Publish."""
        self.publisher.publish(self.plan, self.folder)

    def check(self, end: dict[str, object], where: str) -> None:
        """Demand the end state, that nobody saw anything else on the way, and that nothing was uploaded twice."""
        assert self.observer.seen == [], where
        assert state_of(self.github) == end, where
        assert set(self.observer.uploads.values()) == {1}, where


@contextlib.contextmanager
def fresh(scratch: Path, folder: Path, *, proposed: bool = False) -> Iterator[Stage]:
    """Give a GitHub on which nothing has been published yet."""
    with github_at(scratch, [REPOSITORY], {TOKEN: "write"}) as github:
        yield Stage(github, scratch, folder, proposed=proposed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay one release for all runs."""
    place = tmp_path_factory.mktemp("release")
    lay_release(place, "2.0.0")
    return place


class Undisturbed(NamedTuple):
    """A run without any trouble: how the tap was changed, which requests are worth cutting, and the end state."""

    proposed: bool
    cuts: range
    end: dict[str, object]


@pytest.fixture(scope="module", params=[False, True], ids=["pushed", "proposed"])
def undisturbed(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Publish without trouble. A proposal is cut only after the release is public: before, nothing is different."""
    with fresh(tmp_path_factory.mktemp("undisturbed"), folder, proposed=request.param) as stage:
        stage.run()
        assert stage.observer.seen == []
        log = stage.github.log
        public = next(number for number, line in enumerate(log, 1) if line.startswith("PATCH"))
        assert len(log) >= AT_LEAST
        return Undisturbed(
            request.param, range(public + 1 if request.param else 1, len(log) + 1), state_of(stage.github)
        )


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["unheard", "unanswered", "torn"])
def test_a_run_cut_at_any_request_and_started_again_ends_as_an_undisturbed_one(
    kind: str, part: int, undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    """From the cut on, the network is gone for the first run."""
    for number in undisturbed.cuts[part::PARTS]:
        with fresh(tmp_path / str(number), folder, proposed=undisturbed.proposed) as stage:
            stage.github.trouble, stage.publisher.attempts = Trouble(number, kind), 2
            with pytest.raises(PackagingError):
                stage.run()
            stage.github.trouble = Trouble()
            stage.run()
            stage.check(undisturbed.end, f"{kind} at request {number}: {stage.github.log[number - 1]}")


@pytest.mark.parametrize("part", range(PARTS))
def test_a_passing_trouble_at_any_request_is_survived_by_the_run_itself(
    part: int, undisturbed: Undisturbed, folder: Path, tmp_path: Path
) -> None:
    """Every other request is carried out and its answer lost; the others are answered by a failing server."""
    for number in undisturbed.cuts[part::PARTS]:
        kind = ("unanswered", "502")[number // PARTS % 2]
        with fresh(tmp_path / str(number), folder, proposed=undisturbed.proposed) as stage:
            stage.github.trouble = Trouble(number, kind, lasting=False)
            stage.run()
            stage.check(undisturbed.end, f"{kind} at request {number}: {stage.github.log[number - 1]}")
