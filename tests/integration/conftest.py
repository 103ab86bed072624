"""Fixtures shared by several files of integration tests."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from stigmer_packaging.cli import ci_environment
from stigmer_packaging.publish.github import Access
from support.fake_github import github_at
from support.launcher_services import Stigmer, fake_stack, stigmer
from support.publishable import changelog_of, write_release
from support.publishing import APP_TOKEN, OTHER, REPOSITORY, TOKEN, PreparedRelease, PublishingCommands, prepare_release


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[PreparedRelease]:
    """Yield a fresh fake GitHub with a release to publish there."""
    folder = tmp_path / "release"
    write_release(folder, "2.0.0")
    with prepare_release(tmp_path, folder) as opened:
        yield opened


@pytest.fixture
def commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[PublishingCommands]:
    """Yield a fresh fake GitHub; commands run in the environment of a workflow job, without pauses between attempts."""
    (tmp_path / "CHANGELOG.md").write_text(changelog_of("2.0.0", "2.0.1", "2.0.2"), encoding="utf-8")
    with github_at(tmp_path / "github", [REPOSITORY, OTHER], {TOKEN: "write", APP_TOKEN: "write"}) as github:
        for name in ("GITHUB_REF_TYPE", "GITHUB_REF_NAME", "TAP_TOKEN", "TAP_DEPLOY_KEY"):
            monkeypatch.delenv(name, raising=False)
        opened = PublishingCommands(github, tmp_path, monkeypatch, capsys)
        job = {"GITHUB_TOKEN": TOKEN, "GITHUB_SHA": opened.repository.commit_of("main")}
        for name, value in {**github.environment, **job}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(ci_environment, "Access", functools.partial(Access, pause=lambda _: None))
        yield opened


@pytest.fixture
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stigmer]:
    """Yield a launcher with a fake stack; the marker `stack` has the arguments of `fake_stack`."""
    mark = request.node.get_closest_marker("stack")
    with stigmer(tmp_path, fake_stack(**mark.kwargs) if mark else None) as launcher:
        yield launcher


@pytest.fixture
def running(launcher: Stigmer) -> Stigmer:
    launcher.started()
    return launcher
