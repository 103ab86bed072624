"""Helpers that run scripts/verify-install on an installed FakeStigmer."""

import os
from pathlib import Path

import pytest

from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.lib import command
from stigmer_packaging.lib.command import Completed
from stigmer_packaging.verify.guest_report import GuestReport, parse_report
from support.keg_standin import build_standin

SCRIPT = Path(__file__).parents[2] / "scripts/verify-install"
NONCE = "5eed"

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="FakeStigmer looks up its processes in /proc"
)


def installed(folder: Path, twist: str = "") -> Path:
    """Install FakeStigmer as brew does, unpacked into the Cellar and linked into the prefix; return the prefix."""
    standin = build_standin(folder / "build", twist=twist)
    prefix = folder / "pre fix"  # a blank, as some prefixes have
    (prefix / "Cellar").mkdir(parents=True)
    unpack_archive(standin.workspace.path(standin.bottle.path), prefix / "Cellar")
    keg = Path("../Cellar/stigmer/2.0.0")
    for link, goal in {"opt/stigmer": keg, "bin/stigmer": keg / "bin/stigmer"}.items():
        (prefix / link).parent.mkdir()
        (prefix / link).symlink_to(goal)
    return prefix


def bottle(folder: Path, twist: str = "") -> str:
    standin = build_standin(folder / "build", twist=twist)
    return str(standin.workspace.path(standin.bottle.path))


def run_script(
    prefix: Path, *options: str, interpreter: tuple[str, ...] = ("sh",), path: str = ""
) -> tuple[Completed, GuestReport]:
    """Run the script on a prefix, with its own user home; return the completed process and the report."""
    home = prefix.parent / "user"
    home.mkdir(exist_ok=True)
    environment = {
        "PATH": path or os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(prefix.parent),
        "PATIENCE": "15",
    }
    words = [*interpreter, str(SCRIPT), "--prefix", str(prefix), "--free-ports", "--nonce", NONCE, *options]
    done = command.run(words, env=environment, seconds=90, check=False)
    return done, parse_report(done.stdout, NONCE)


def failed(report: GuestReport) -> list[str]:
    """Return the failed checks of a complete report, except the two that run only on demand."""
    assert report.complete
    on_demand = {"there is no Python on the machine outside the keg", "there is no network"}
    return [check.name for check in report.checks if not check.passed and check.name not in on_demand]
