"""Verify a bottle on a fresh machine: pour it into a root without Python, and let it prove itself there."""

import shutil
from collections.abc import Callable
from pathlib import Path

from stigmer_packaging.errors import RecordError
from stigmer_packaging.records import Bottle, VerificationReport
from stigmer_packaging.tools import digest
from stigmer_packaging.tools.cellar import pour
from stigmer_packaging.tools.guest_report import parse_report
from stigmer_packaging.tools.guest_root import USER, GuestRoot
from stigmer_packaging.tools.sandbox import PREFIX, GuestRun, run_in_sandbox
from stigmer_packaging.workspace import Workspace

LEVEL = "sandbox"


def verify_bottle(
    bottle: Bottle,
    root: GuestRoot,
    *,
    script: Path,
    nonce: str,
    workspace: Workspace,
    seconds: float = 300,
    report: Callable[[str], None],
) -> VerificationReport:
    """Run `script` (verify-install.sh) on the poured bottle, or give the report of a run that passed with the same inputs.

    The run has `seconds`, then it is killed and the report has not ended. What it printed is in
    `verify/sandbox/TARGET.log`. `nonce` must be new for each call. Raise RecordError when the bottle is not the recorded
    one, ArchiveError when it cannot be poured.
    """
    made_from = digest.sha256_of_value(bottle.sha256, root.recipe, digest.sha256_of(script))
    name = f"verify/{LEVEL}/{bottle.target}"
    kept = workspace.current(name, VerificationReport, made_from)
    if kept and kept.passed:
        return kept
    if digest.sha256_of(workspace.path(bottle.path)) != bottle.sha256:
        raise RecordError(f"{bottle.path} is not the bottle that was recorded")
    report(f"verifying the bottle for {bottle.tag} on {root.name}")
    with workspace.staging() as home:
        _install(bottle, workspace, script, home)
        words = ["sh", f"/home/{USER}/{script.name}", "--python-free", "--deep", "--offline"]
        words += ["--stigmer", f"{PREFIX}/bin/{bottle.name}", "--expect-version", bottle.version, "--nonce", nonce]
        run = run_in_sandbox(root.path, home, words, seconds=seconds)
    _keep_log(run, f"{name}.log", workspace)
    guest = parse_report(run.output, nonce)
    ended = guest.whole and run.code is not None and (run.code == 0) == all(check.passed for check in guest.checks)
    result = VerificationReport(LEVEL, root.name, bottle.sha256, guest.checks, ended, made_from)
    workspace.write_record(name, result)
    return result


def _install(bottle: Bottle, workspace: Workspace, script: Path, home: Path) -> None:
    """Make the guest's /home: the bottle poured where brew pours it, and the user's folder with the script."""
    home.chmod(0o755)
    pour(workspace.path(bottle.path), home / Path(PREFIX).relative_to("/home"), bottle.name, bottle.version)
    (home / USER).mkdir()
    shutil.copyfile(script, home / USER / script.name)


def _keep_log(run: GuestRun, relative: str, workspace: Workspace) -> None:
    outcome = "killed at its deadline" if run.code is None else f"exit code {run.code}"
    with workspace.staging() as staged:
        (staged / "log").write_text(f"{run.output}\n--- errors\n{run.errors}\n--- {outcome}\n", encoding="utf-8")
        workspace.publish(staged / "log", relative)
