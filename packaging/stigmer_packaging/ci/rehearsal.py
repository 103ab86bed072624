"""Rehearsal of the release workflow: its Linux jobs' steps run on this machine, in order, against a fake GitHub."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from stigmer_packaging.ci import actions
from stigmer_packaging.ci.actions import JobContext
from stigmer_packaging.ci.workflow_file import Workflow, WorkflowJob, WorkflowStep
from stigmer_packaging.formula.tap_files import RUNNERS
from stigmer_packaging.lib import command, debian
from stigmer_packaging.lib.errors import CommandError, WorkflowError
from stigmer_packaging.lib.target import Target

SECONDS = 3600
OWN = frozenset({"checkouts", "lock", "logs", "rehearsal", "staging"})
"""The directories of an earlier build's workspace that the first job does not start with."""

READER, WRITER = "ghs_rehearsalMayRead", "ghs_rehearsalMayWrite"


@dataclass(frozen=True)
class RehearsalSetup:
    """The setting of a rehearsal: its own directory, the repository's URL, and the tag to release.

    `seed` is the workspace of an earlier build, whose artefacts are reused if they are current. Every job has the
    variables of `environment`. `replaced` overrides values of the matrix, such as the level of verification.
    """

    folder: Path
    remote: str
    tag: str
    host: Target
    seed: Path
    environment: Mapping[str, str]
    replaced: Mapping[str, str]
    report: Callable[[str], None]


@dataclass(frozen=True)
class JobResult:
    """The result of one job: its name with its target, its duration in seconds, and the reason if it was skipped."""

    job: str
    seconds: float
    skip_reason: str = ""


def rehearse(workflow: Workflow, setup: RehearsalSetup) -> tuple[JobResult, ...]:
    """Run every job that would run on a machine like this one; the first failure ends the rehearsal."""
    return tuple(result for job in workflow.jobs for result in _run_legs(job, setup))


def _run_legs(job: WorkflowJob, setup: RehearsalSetup) -> Iterator[JobResult]:
    for leg in job.legs:
        name = " ".join([job.name, leg.get("target", "")]).strip()
        if reason := _reason_to_skip(job, leg, setup):
            yield JobResult(name, 0, reason)
            continue
        setup.report(f"== {name}")
        started = monotonic()
        _run_job(job, {**leg, **{key: value for key, value in setup.replaced.items() if key in leg}}, setup)
        result = JobResult(name, monotonic() - started)
        setup.report(f"== {name}: done in {result.seconds:.0f} s")
        yield result


def _reason_to_skip(job: WorkflowJob, leg: Mapping[str, str], setup: RehearsalSetup) -> str:
    runner = leg.get("runner", job.runner)
    if runner != RUNNERS[str(setup.host)]:
        return f"runs on {runner}"
    if leg.get("target", str(setup.host)) != str(setup.host):
        return f"is for {leg['target']}"
    if any(step.uses.startswith("Homebrew/") for step in job.steps):
        return "needs the real GitHub and the real brew"
    return ""


def _run_job(job: WorkflowJob, leg: Mapping[str, str], setup: RehearsalSetup) -> None:
    folder = setup.folder / "jobs" / "-".join([job.name, *filter(None, [leg.get("target", "")])])
    command.run(["git", "clone", "-q", "--depth=1", "--branch", setup.tag, setup.remote, folder], env=setup.environment)
    if not job.needs:
        _seed(setup.seed, folder / "build")
    may_write = (job.permissions or {}).get("contents") == "write"
    values = {f"matrix.{key}": value for key, value in leg.items()}
    values |= {"github.token": WRITER if may_write else READER, "github.ref_name": setup.tag}
    values |= {f"vars.{name}": setup.environment.get(name, "") for name in (debian.MIRROR, debian.FALLBACK)}
    context = JobContext(folder, setup.folder / "artifacts", setup.report)
    for step in job.steps:
        try:
            _run_step(step, values, context, setup)
        except (CommandError, WorkflowError) as error:
            raise WorkflowError(f"the job {job.name} failed at {step.name!r}: {error}", error.remedy) from error
    shutil.rmtree(folder)


def _run_step(step: WorkflowStep, values: Mapping[str, str], context: JobContext, setup: RehearsalSetup) -> None:
    if step.condition == "runner.os == 'macOS'":
        return
    if step.condition:
        raise WorkflowError(f"the rehearsal does not support the condition {step.condition!r}")
    if step.uses:
        inputs = {name: actions.substitute(value, values) for name, value in step.inputs.items()}
        actions.run_action(step.uses, inputs, context)
        return
    setup.report(f"+ {step.run}")
    own = {name: actions.substitute(value, values) for name, value in step.env.items()}
    env = {**setup.environment, "GITHUB_WORKSPACE": str(context.folder), **own}
    argv: Sequence[str] = ["bash", "-e", "-c", step.run]  # as a runner does for a step without `shell`
    command.run(argv, cwd=context.folder, env=env, seconds=SECONDS)


def _seed(seed: Path, build: Path) -> None:
    """Copy an earlier build for the first job; files are hard-linked, which is safe as none is modified in place."""
    for folder in sorted(seed.iterdir()) if seed.is_dir() else []:
        if folder.is_dir() and folder.name not in OWN:
            shutil.copytree(folder, build / folder.name, symlinks=True, copy_function=_link)


def _link(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:  # on another file system
        shutil.copy2(source, destination)
