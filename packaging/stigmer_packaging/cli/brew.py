"""The level `brew` of the command `verify`: a delivered release put to the trial with the Homebrew on PATH."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from stigmer_packaging.lib.errors import MissingToolError, RecordError
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.brew.client import find_brew
from stigmer_packaging.verify.brew.stage import verify_with_brew

LEVEL = "brew"


def verify_release(
    root: Path, release: Path, later: Path | None, workspace: Workspace, report: Callable[[str], None]
) -> VerificationReport:
    """Put the release in a folder to the trial, and the upgrade to the one in `later`; `root` is our checkout.

    MissingToolError without a brew, RecordError for what is no folder of a release.
    """
    program = find_brew(os.environ.get("PATH", ""))
    if program is None:
        raise MissingToolError("there is no brew on PATH", "install Homebrew, as a user other than root")
    if not release.is_dir():
        raise RecordError(f"{release} is no folder", "with brew, name the folder a release was delivered to")
    manifest = load_manifest(root / "packaging" / "manifest.yaml")
    return verify_with_brew(
        [release, *([later] if later else [])],
        program,
        ports=tuple(name for part in manifest.components for name in part.run.ports),
        env=os.environ,
        workspace=workspace,
        clock=time.monotonic,
        report=report,
    )
