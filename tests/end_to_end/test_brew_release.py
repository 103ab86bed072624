"""A delivered release with the real Homebrew, as users install it: `pytest -m brew`.

STIGMER_RELEASE is the release's directory (default: dist/), STIGMER_NEXT_RELEASE that of a later one to upgrade to.
"""

import os
import time
from pathlib import Path

import pytest

from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.brew.stage import verify_with_brew
from support.real_brew import RELEASE, ROOT, require_brew, require_release

pytestmark = [pytest.mark.brew, pytest.mark.timeout(1800)]


def test_every_step_passes_with_the_real_brew(tmp_path: Path) -> None:
    brew, later = require_brew(tmp_path / "home"), os.environ.get("STIGMER_NEXT_RELEASE", "")
    require_release()
    manifest = load_manifest(ROOT / "packaging" / "manifest.yaml")
    verified = verify_with_brew(
        [RELEASE, *([Path(later)] if later else [])],
        brew.program,
        ports=tuple(name for part in manifest.components for name in part.run.ports),
        env=os.environ,
        workspace=Workspace(tmp_path / "workspace", tmp_path / "cache"),
        clock=time.monotonic,
        report=print,
    )
    assert {check.name: check.detail for check in verified.checks if not check.passed} == {}
    assert verified.guest.startswith("Homebrew ")
    assert len(verified.bottle_sha256) == 64
    if not later:
        pytest.skip("no later release to upgrade to: set STIGMER_NEXT_RELEASE")
    assert any("upgrade" in check.name for check in verified.checks)
