"""Fixtures that several files of integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
