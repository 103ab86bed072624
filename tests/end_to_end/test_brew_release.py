"""A delivered release with the real Homebrew, as users meet it: `pytest -m brew`.

STIGMER_RELEASE is the folder it was delivered to (default: dist/), STIGMER_NEXT_RELEASE that of a later one to upgrade to.
"""

import os
import time
from pathlib import Path

import pytest

from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.records.release import NAME
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.brew.stage import verify_with_brew
from stigmer_packaging.verify.brew.trial import STEPS, UPGRADES
from support.real_brew import ROOT, require_brew

RELEASE = Path(os.environ.get("STIGMER_RELEASE", ROOT / "dist"))
NEXT = os.environ.get("STIGMER_NEXT_RELEASE", "")

pytestmark = [pytest.mark.brew, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> VerificationReport:
    """Put the release to the trial once; every test looks at one step of it."""
    folder = tmp_path_factory.mktemp("brew")
    brew = require_brew(folder / "home")
    if not (RELEASE / NAME).is_file():
        pytest.skip(f"no release was delivered to {RELEASE}")
    manifest = load_manifest(ROOT / "packaging" / "manifest.yaml")
    return verify_with_brew(
        [RELEASE, *([Path(NEXT)] if NEXT else [])],
        brew.program,
        ports=tuple(name for part in manifest.components for name in part.run.ports),
        env=os.environ,
        workspace=Workspace(folder / "workspace", folder / "cache"),
        clock=time.monotonic,
        report=print,
    )


@pytest.mark.parametrize("name", [name for name, step in STEPS if step not in UPGRADES])
def test_with_the_real_brew(verified: VerificationReport, name: str) -> None:
    """Each step says what it saw."""
    check = next(check for check in verified.checks if check.name == name)
    assert check.passed, check.detail


@pytest.mark.skipif(not NEXT, reason="STIGMER_NEXT_RELEASE names no later release")
@pytest.mark.parametrize("name", [name for name, step in STEPS if step in UPGRADES])
def test_the_upgrade_with_the_real_brew(verified: VerificationReport, name: str) -> None:
    """With a server running."""
    check = next(check for check in verified.checks if check.name == name)
    assert check.passed, check.detail


def test_the_record_names_the_bottle_that_brew_poured(verified: VerificationReport) -> None:
    assert verified.level == "brew"
    assert verified.guest.startswith("Homebrew ")
    assert len(verified.bottle_sha256) == 64
