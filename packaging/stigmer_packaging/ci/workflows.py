"""What is wrong with .github/workflows: where they contradict the manifest, and what actionlint and zizmor say of them.

They repeat of the manifest: targets, their hosted machines, bottle tags, the formula. And they must stop at a failure,
which a linter does not ask of them.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stigmer_packaging.ci.workflow_file import Workflow, WorkflowJob, WorkflowStep, parse_workflow
from stigmer_packaging.formula.receipt import tap_name
from stigmer_packaging.formula.tap_files import RUNNERS
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError
from stigmer_packaging.manifest.model import Manifest

NAMES = ("check", "release", "verify")
LEVELS = {
    "darwin-arm64": "macos",
    "darwin-amd64": "macos",
    "linux-arm64": "sandbox",
    "linux-amd64": "vm",
}
"""How each target's bottle is verified: hosted macOS and arm64 machines cannot run virtual machines."""

_TAP_SECRET = "TAP_DEPLOY_KEY"  # noqa: S105 - a name, not a secret
_CHANGES_THE_TAP = "scripts/publish "
_INSTALLS = "scripts/verify-documented "
_VERIFIES = "scripts/verify "
_AFTER_FAILURE = re.compile(r"\b(?:always|cancelled|failure)\(\)")
_EXIT_CODE_LOST = re.compile(r"[|;]|(?<!&)&(?!&)")
"""What lets a shell line succeed though its first command failed."""


def read_workflows(folder: Path) -> dict[str, Workflow]:
    """Read the workflows by name; FileNotFoundError when one is missing."""
    return {name: parse_workflow((folder / f"{name}.yml").read_text(encoding="utf-8")) for name in NAMES}


def find_disagreements(workflows: Mapping[str, Workflow], manifest: Manifest) -> tuple[str, ...]:
    """List where the workflows say something else than the manifest or go on after a failure, with file and job."""
    return tuple(
        f"{name}.yml: {job.name}: {problem}"
        for name, workflow in workflows.items()
        for job in workflow.jobs
        for problem in (*_problems(job, manifest), *_failures_passed_over(job), *_interruptions(job, workflow))
    )


def _problems(job: WorkflowJob, manifest: Manifest) -> Iterator[str]:
    named = {leg["target"]: leg for leg in job.legs if "target" in leg}
    known = {str(target) for target in manifest.known_targets()} if named else set()
    for target in sorted(known.symmetric_difference(named)):
        yield f"has no leg for {target}" if target in known else f"has a leg for {target}, which is no target"
    for target, leg in named.items():
        yield from _wrong_words(target, leg, manifest)
    yield from _unknown_machines(job)
    yield from _wrong_formula(job, f"{tap_name(manifest.product)}/{manifest.product.name}")
    yield from _wrong_secret(job, own_tap=manifest.product.tap == "self")


def _wrong_words(target: str, leg: Mapping[str, str], manifest: Manifest) -> Iterator[str]:
    spec = manifest.targets.get(target)
    right = {"runner": RUNNERS.get(target), "level": LEVELS.get(target), "tag": spec.bottle if spec else None}
    for key in sorted(leg.keys() & right.keys()):
        if leg[key] != right[key]:
            yield f"{key} of {target} is {leg[key]}, and not {right[key]}"


def _unknown_machines(job: WorkflowJob) -> Iterator[str]:
    machines = {leg.get("runner", job.runner) for leg in job.legs}
    for machine in sorted(machines - set(RUNNERS.values())):
        yield f"runs on {machine}, which is none of {', '.join(RUNNERS.values())}"


def _wrong_formula(job: WorkflowJob, formula: str) -> Iterator[str]:
    for step in job.steps:
        if step.run.startswith(_INSTALLS) and (named := step.run.split()[1]) != formula:
            yield f"installs {named}, and the formula is {formula}"


def _wrong_secret(job: WorkflowJob, *, own_tap: bool) -> Iterator[str]:
    """Demand a key for a tap of its own where it is changed: the job's token reaches no other repository."""
    has = any(_TAP_SECRET in step.env for step in job.steps)
    if own_tap == has and any(step.run.startswith(_CHANGES_THE_TAP) for step in job.steps):
        problem = f"lacks {_TAP_SECRET}, which the tap needs"
        yield f"needs no {_TAP_SECRET}: the tap is this repository" if has else problem


def _failures_passed_over(job: WorkflowJob) -> Iterator[str]:
    """Require that a failure ends the job and all that need it, except in a job that reads how they ended."""
    told = any("needs." in value for step in job.steps for value in step.env.values())
    if job.tolerated:
        yield "may fail and counts as passed"
    if _AFTER_FAILURE.search(job.condition) and not told:
        yield f"is run when what it needs has failed: {job.condition}"
    for step in job.steps:
        if step.tolerated or _AFTER_FAILURE.search(step.condition) or _EXIT_CODE_LOST.search(step.run):
            yield f"goes on when this fails, or after a failure: {step.name}"
    if any("level" in leg for leg in job.legs) and not any(map(_verifies, job.steps)):
        yield "does not verify at the level of its leg"


def _verifies(step: WorkflowStep) -> bool:
    return step.run.startswith(_VERIFIES) and step.env.get("LEVEL") == "${{ matrix.level }}" and not step.condition


def _interruptions(job: WorkflowJob, workflow: Workflow) -> Iterator[str]:
    if job.environment and workflow.concurrency.get("cancel-in-progress", False) is not False:
        yield "is cancelled by the next run in the middle of publishing"


def lint_with_actionlint(folder: Path, module: Path, go: Path, *, env: Mapping[str, str]) -> list[str]:
    """Give the lines that actionlint says of the workflows in `folder`; `module` is the Go module that pins it.

    It is told not to look for programs of this machine, so that it says the same everywhere.
    """
    fixed = {**env, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    words = [str(go), "tool", "-C", str(module), "actionlint", "-no-color", "-oneline", "-shellcheck=", "-pyflakes="]
    return _lint(words, folder, found=(1,), env=fixed)  # Source of the code: actionlint's usage, "Exit status"


def lint_with_zizmor(folder: Path, *, env: Mapping[str, str]) -> list[str]:
    """Give the lines that zizmor says of the workflows in `folder`, code smells included, without asking the network."""
    program = str(Path(sys.executable).parent / "zizmor")
    words = [program, "--offline", "--persona=pedantic", "--no-progress", "--color=never"]
    return _lint(words, folder, found=range(11, 15), env=env)  # Source of the codes: zizmor's usage, "Exit codes"


def _lint(words: list[str], folder: Path, *, found: Sequence[int], env: Mapping[str, str]) -> list[str]:
    files = sorted(path.absolute() for path in folder.glob("*.yml"))
    done = command.run([*words, *files], env=env, check=False)
    if done.code not in {0, *found}:
        raise CommandError(words, f"failed with exit code {done.code}", done.stdout + done.stderr)
    return done.stdout.splitlines() if done.code else []
