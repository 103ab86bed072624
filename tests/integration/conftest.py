"""Fixtures that several files of integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.publishable import lay_release
from support.publishing_studio import Desk, Studio, open_desk, open_studio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """Give a fresh GitHub with a release to publish there."""
    folder = tmp_path / "release"
    lay_release(folder, "2.0.0")
    with open_studio(tmp_path, folder) as opened:
        yield opened


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Give a fresh GitHub, and the environment of a workflow's job for commands."""
    with open_desk(tmp_path, monkeypatch) as opened:
        yield opened
