"""Fixtures of the unit tests: an empty home and a keg for the launcher, and a workspace for packaging."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from stigmer_launcher.system.places import Places, find_places
from stigmer_packaging.records.workspace import Workspace
from support.launcher_payloads import build_libexec

# No deadline, so that a test does not fail on a loaded machine; no random examples in CI, for reproducible results.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")


@pytest.fixture(name="places")
def _places(tmp_path: Path) -> Places:
    return find_places({"STIGMER_HOME": str(tmp_path / "home")})


@pytest.fixture(name="keg")
def _keg(tmp_path: Path) -> Path:
    return build_libexec(tmp_path / "keg")


@pytest.fixture(name="workspace")
def _workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace", tmp_path / "cache")
