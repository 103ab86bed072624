"""Checks of .github/workflows: contradictions with the manifest, ignored failures, and the findings of two linters.

The workflows repeat the manifest's targets, their hosted runners, bottle tags and formula. They must also stop at a
failure, which the linters, actionlint and zizmor, do not check.
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
"""The level at which each target's bottle is verified: hosted macOS and arm64 runners have no virtualization."""

_TAP_SECRET = "TAP_DEPLOY_KEY"  # noqa: S105 - a name, not a secret
_CHANGES_THE_TAP = "scripts/publish "
_INSTALLS = "scripts/verify-documented "
_HOMEBREW = "Homebrew/actions/setup-homebrew@"
_SELF_HOSTED = "GITHUB_ACTIONS_HOMEBREW_SELF_HOSTED"
_VERIFIES = "scripts/verify "
_AFTER_FAILURE = re.compile(r"\b(?:always|cancelled|failure)\(\)")
_EXIT_CODE_LOST = re.compile(r"[|;]|(?<!&)&(?!&)")
"""Shell operators with which a line can succeed although its first command fails."""


def read_workflows(folder: Path) -> dict[str, Workflow]:
    """Return the workflows by name; raise FileNotFoundError if one is missing."""
    return {name: parse_workflow((folder / f"{name}.yml").read_text(encoding="utf-8")) for name in NAMES}


def find_disagreements(workflows: Mapping[str, Workflow], manifest: Manifest) -> tuple[str, ...]:
    """Return where the workflows contradict the manifest or continue after a failure, each with its file and job."""
    return tuple(
        f"{name}.yml: {job.name}: {problem}"
        for name, workflow in workflows.items()
        for job in workflow.jobs
        for problem in (*_contradictions(job, manifest), *_ignored_failures(job), *_interruptions(job, workflow))
    )


def _contradictions(job: WorkflowJob, manifest: Manifest) -> Iterator[str]:
    legs = {leg["target"]: leg for leg in job.legs if "target" in leg}
    known = {str(target) for target in manifest.known_targets()} if legs else set()
    for target in sorted(known.symmetric_difference(legs)):
        yield f"has no leg for {target}" if target in known else f"has a leg for {target}, which is not a target"
    for target, leg in legs.items():
        yield from _wrong_values(target, leg, manifest)
    yield from _unknown_runners(job)
    yield from _wrong_formula(job, f"{tap_name(manifest.product)}/{manifest.product.name}")
    yield from _wrong_secret(job, own_tap=manifest.product.tap == "self")
    yield from _wrong_homebrew(job)


def _wrong_values(target: str, leg: Mapping[str, str], manifest: Manifest) -> Iterator[str]:
    spec = manifest.targets.get(target)
    expected = {"runner": RUNNERS.get(target), "level": LEVELS.get(target), "tag": spec.bottle if spec else None}
    for key in sorted(leg.keys() & expected.keys()):
        if leg[key] != expected[key]:
            yield f"{key} of {target} is {leg[key]}, not {expected[key]}"


def _unknown_runners(job: WorkflowJob) -> Iterator[str]:
    runners = {leg.get("runner", job.runner) for leg in job.legs}
    for runner in sorted(runners - set(RUNNERS.values())):
        yield f"runs on {runner}, which is not one of {', '.join(RUNNERS.values())}"


def _wrong_formula(job: WorkflowJob, formula: str) -> Iterator[str]:
    for step in job.steps:
        if step.run.startswith(_INSTALLS) and (named := step.run.split()[1]) != formula:
            yield f"installs {named}, but the formula is {formula}"


def _wrong_secret(job: WorkflowJob, *, own_tap: bool) -> Iterator[str]:
    """Require a deploy key in jobs that change a tap in another repository, which the job's token cannot access."""
    has = any(_TAP_SECRET in step.env for step in job.steps)
    if own_tap == has and any(step.run.startswith(_CHANGES_THE_TAP) for step in job.steps):
        problem = f"lacks {_TAP_SECRET}, which the tap needs"
        yield f"needs no {_TAP_SECRET}: the tap is this repository" if has else problem


def _wrong_homebrew(job: WorkflowJob) -> Iterator[str]:
    """Require the brew that users have, and no link from the tap to the checkout, in a job that fetches the tap again.

    The action's last step removes that link, and fails if it is no longer one. Sources: setup-homebrew's README, for
    what is stable, and its post.sh.
    """
    installs = any(step.run.startswith(_INSTALLS) for step in job.steps)
    for step in (one for one in job.steps if installs and one.uses.startswith(_HOMEBREW)):
        if not step.env.get(_SELF_HOSTED):
            yield f"fails after the installation unless this step has {_SELF_HOSTED}: {step.name}"
        if step.inputs.get("stable") != "True":
            yield f"installs with brew's main branch: {step.name}"


def _ignored_failures(job: WorkflowJob) -> Iterator[str]:
    """Require that a failure ends the job and all jobs that need it, except for a job that reads their results."""
    reads_results = any("needs." in value for step in job.steps for value in step.env.values())
    if job.tolerated:
        yield "may fail, and then counts as passed"
    if _AFTER_FAILURE.search(job.condition) and not reads_results:
        yield f"runs even if a job that it needs has failed: {job.condition}"
    for step in job.steps:
        if step.tolerated or _AFTER_FAILURE.search(step.condition) or _EXIT_CODE_LOST.search(step.run):
            yield f"continues if this step fails, or runs it after a failure: {step.name}"
    if any("level" in leg for leg in job.legs) and not any(map(_verifies, job.steps)):
        yield "does not verify at the level of its leg"


def _verifies(step: WorkflowStep) -> bool:
    return step.run.startswith(_VERIFIES) and step.env.get("LEVEL") == "${{ matrix.level }}" and not step.condition


def _interruptions(job: WorkflowJob, workflow: Workflow) -> Iterator[str]:
    if job.environment and workflow.concurrency.get("cancel-in-progress", False) is not False:
        yield "can be cancelled by the next run in the middle of publishing"


def lint_with_actionlint(folder: Path, module: Path, go: Path, *, env: Mapping[str, str]) -> list[str]:
    """Return actionlint's findings in the workflows in `folder`, as lines; `module` is the Go module that pins it.

    It runs without shellcheck and pyflakes, so that its result does not depend on what is installed on this machine.
    """
    fixed = {**env, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    argv = [str(go), "tool", "-C", str(module), "actionlint", "-no-color", "-oneline", "-shellcheck=", "-pyflakes="]
    return _lint(argv, folder, found=(1,), env=fixed)  # Source of the code: actionlint's usage, "Exit status"


def lint_with_zizmor(folder: Path, *, env: Mapping[str, str]) -> list[str]:
    """Return zizmor's findings in the workflows in `folder`, code smells included, as lines; it works offline."""
    program = str(Path(sys.executable).parent / "zizmor")
    argv = [program, "--offline", "--persona=pedantic", "--no-progress", "--color=never"]
    return _lint(argv, folder, found=range(11, 15), env=env)  # Source of the codes: zizmor's usage, "Exit codes"


def _lint(argv: list[str], folder: Path, *, found: Sequence[int], env: Mapping[str, str]) -> list[str]:
    files = sorted(path.absolute() for path in folder.glob("*.yml"))
    result = command.run([*argv, *files], env=env, check=False)
    if result.code not in {0, *found}:
        raise CommandError(argv, f"failed with exit code {result.code}", result.stdout + result.stderr)
    return result.stdout.splitlines() if result.code else []
