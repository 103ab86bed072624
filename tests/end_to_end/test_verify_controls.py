"""Negative controls with the real launcher and fake services: each fault is detected by its own check.

The faults of guest, report and bottle are in test_verify_sandbox.py and test_verify_install_faults.py.
"""

import os
import shlex
import sys
from pathlib import Path

from stigmer_packaging.lib import command, digest
from stigmer_packaging.records.workspace import scan_files
from stigmer_packaging.verify.guest_report import parse_report
from support.install_script import SCRIPT
from support.launcher_payloads import Part, build_libexec, part
from support.launcher_services import LAUNCHER, fake_stack
from support.native_code import place

VERSION = "0.0.0+checkout"
"""The version that an unfrozen launcher prints."""

NOT_FROZEN = {
    "there is no Python on the machine outside the keg",
    "there is no network",
    "completions and the manual page are where shells and man look",
    "no process touches a Python outside the keg",
    "after the upgrade no process touches a Python outside the keg",
}


def failures(folder: Path, stack: tuple[Part, ...], *options: str) -> dict[str, str]:
    """Run the script on this machine, on a keg with our unfrozen launcher; return the failed checks' details."""
    keg = folder / "prefix/Cellar/stigmer/1.0.0"
    libexec = build_libexec(keg, stack)
    text = (
        f"#!/bin/sh\nexport STIGMER_PAYLOAD={shlex.quote(str(libexec))} PYTHONPATH={LAUNCHER} PYTHONDONTWRITEBYTECODE=1\n"
        f'exec {sys.executable} -S -m stigmer_launcher "$@"\n'
    )
    launcher = place(libexec / "launcher/stigmer", text.encode())
    (libexec / "SHA256SUMS").write_text(digest.render_sums((entry.path, entry.sha256) for entry in scan_files(keg)))
    for link, goal in ((keg / "bin/stigmer", launcher), (folder / "prefix/bin/stigmer", keg / "bin/stigmer")):
        link.parent.mkdir()
        link.symlink_to(os.path.relpath(goal, link.parent))
    (folder / "user").mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "user"), "TMPDIR": str(folder)}
    words = ["--prefix", str(folder / "prefix"), "--expect-version", VERSION, "--free-ports", "--nonce", "1", *options]
    done = command.run(["sh", SCRIPT, *words], env=environment, seconds=100, check=False)
    report = parse_report(done.stdout, "1")
    assert report.complete, done.stdout + done.stderr
    return {check.name: check.detail for check in report.checks if not check.passed and check.name not in NOT_FROZEN}


def test_the_real_launcher_recovers_from_kill_and_damage(tmp_path: Path) -> None:
    """A control for the tests below: without a fault, every check passes."""
    assert failures(tmp_path, fake_stack(seconds=20), "--trials") == {}


def test_a_service_that_never_gets_ready_fails_the_start_by_name(tmp_path: Path) -> None:
    found = failures(tmp_path, fake_stack(seconds=2, agent_runner="unready=1"))
    assert next(iter(found)) == "the server starts"
    assert "agent-runner" in found["the server starts"]
    assert "not ready" in found["the server starts"]


def test_an_agent_runner_that_breaks_at_import_fails_the_start_with_its_reason(tmp_path: Path) -> None:
    broken = part("agent-runner", program="import a_module_that_was_not_frozen")
    found = failures(tmp_path, (*fake_stack(seconds=20)[:-1], broken))
    assert next(iter(found)) == "the server starts"
    assert "No module named 'a_module_that_was_not_frozen'" in found["the server starts"]
