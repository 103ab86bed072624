"""Fixtures that several files of integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.publishing_studio import Studio, open_studio


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """Give a fresh GitHub with a release to publish there."""
    with open_studio(tmp_path) as opened:
        yield opened
