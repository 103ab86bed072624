"""Fixtures that several files of integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.launcher_services import Stigmer, fake_stack, stigmer
from support.publishable import lay_release
from support.publishing import PreparedRelease, PublishingCommands, prepare_release, publishing_commands


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[PreparedRelease]:
    """Give a fresh GitHub with a release to publish there."""
    folder = tmp_path / "release"
    lay_release(folder, "2.0.0")
    with prepare_release(tmp_path, folder) as opened:
        yield opened


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublishingCommands]:
    """Give a fresh GitHub, and the environment of a workflow's job for commands."""
    with publishing_commands(tmp_path, monkeypatch) as opened:
        yield opened


@pytest.fixture
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stigmer]:
    """Give a launcher over a fake stack; the mark `stack` has what `fake_stack` is asked for."""
    mark = request.node.get_closest_marker("stack")
    with stigmer(tmp_path, fake_stack(**mark.kwargs) if mark else None) as launcher:
        yield launcher


@pytest.fixture
def running(launcher: Stigmer) -> Stigmer:
    """Give that launcher when its server runs."""
    launcher.started()
    return launcher
