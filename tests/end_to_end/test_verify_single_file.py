"""The single file proves itself as a bottle does: on a machine without Python and network, in a home of its own."""

import secrets
import sys
from pathlib import Path

import pytest

from stigmer_packaging.bottle.standalone import make_program
from stigmer_packaging.verify.guest import Task
from stigmer_packaging.verify.sandbox import make_sandbox
from stigmer_packaging.verify.stage import verify_bottle
from support.guest_roots import shared_root
from support.keg_standin import EPOCH, build_standin, quiet
from support.single_files import unpacker

SCRIPT = Path(__file__).parents[2] / "scripts/verify-install"
pytestmark = [
    pytest.mark.timeout(900),  # the first run on a machine makes the root
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's"),
]


@pytest.mark.parametrize(("twist", "passes"), [("", True), ('[ "${2:-}" != stop ] || exit 0', False)])
def test_a_single_file_is_verified_like_a_bottle(tmp_path: Path, twist: str, *, passes: bool) -> None:
    """One whose server does not stop is found out."""
    standin = build_standin(tmp_path, twist=twist)
    tools = unpacker(tmp_path / "modules")
    workspace = standin.workspace
    made = make_program(standin.keg, tools, source_date_epoch=EPOCH, workspace=workspace, report=quiet)
    task, name = Task(SCRIPT, secrets.token_hex(8), 120), "verify/program/linux-amd64"
    report = verify_bottle(made, make_sandbox(shared_root()), task, name=name, workspace=workspace, report=quiet)
    log = workspace.path(f"{name}.log").read_text(encoding="utf-8")
    assert report.passed is passes, log
    assert report.bottle_sha256 == made.sha256
    assert ".stigmer/dist/2.0.0-" in log
