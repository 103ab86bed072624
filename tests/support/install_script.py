"""scripts/verify-install as tests run it, on a Cellar that holds FakeStigmer."""

import os
from pathlib import Path

from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.lib import command
from stigmer_packaging.lib.command import Completed
from stigmer_packaging.verify.guest_report import GuestReport
from support.keg_standin import build_standin

SCRIPT = Path(__file__).parents[2] / "scripts/verify-install"
NONCE = "5eed"


def installed(folder: Path, twist: str = "") -> Path:
    """Pour FakeStigmer as brew does, unpacked into the Cellar and linked into the prefix, which is given."""
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
    """Make FakeStigmer's bottle."""
    standin = build_standin(folder / "build", twist=twist)
    return str(standin.workspace.path(standin.bottle.path))


def run_script(
    prefix: Path, *options: str, interpreter: tuple[str, ...] = ("sh",), seconds: float = 90, path: str = ""
) -> Completed:
    """Run the script on a prefix, in a user's home of its own."""
    home = prefix.parent / "user"
    home.mkdir(exist_ok=True)
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(home), "TMPDIR": str(prefix.parent)}
    environment["PATIENCE"] = "15"
    words = [*interpreter, str(SCRIPT), "--prefix", str(prefix), "--free-ports", "--nonce", NONCE, *options]
    return command.run(words, env=environment, seconds=seconds, check=False)


def failed(report: GuestReport) -> list[str]:
    """Name the checks that found a fault; the two that are only made on demand are left out."""
    on_demand = {"there is no Python on the machine but in the keg", "there is no network"}
    return [check.name for check in report.checks if not check.passed and check.name not in on_demand]
