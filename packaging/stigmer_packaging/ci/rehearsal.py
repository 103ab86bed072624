"""Rehearsal of the release workflow: its Linux jobs' steps run on this machine, in order, against a fake GitHub."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from stigmer_packaging.ci import actions
from stigmer_packaging.ci.actions import Bench
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
class Stage:
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
class Rehearsed:
    """The result of one job: its name with its target, its duration in seconds, and the reason if it was skipped."""

    job: str
    seconds: float
    left_out: str = ""


def rehearse(workflow: Workflow, stage: Stage) -> tuple[Rehearsed, ...]:
    """Run every job that would run on a machine like this one; the first failure ends the rehearsal."""
    return tuple(result for job in workflow.jobs for result in _run_legs(job, stage))


def _run_legs(job: WorkflowJob, stage: Stage) -> Iterator[Rehearsed]:
    for leg in job.legs:
        name = " ".join([job.name, leg.get("target", "")]).strip()
        if reason := _reason_to_skip(job, leg, stage):
            yield Rehearsed(name, 0, reason)
            continue
        stage.report(f"== {name}")
        started = monotonic()
        _run_job(job, {**leg, **{key: value for key, value in stage.replaced.items() if key in leg}}, stage)
        result = Rehearsed(name, monotonic() - started)
        stage.report(f"== {name}: done in {result.seconds:.0f} s")
        yield result


def _reason_to_skip(job: WorkflowJob, leg: Mapping[str, str], stage: Stage) -> str:
    runner = leg.get("runner", job.runner)
    if runner != RUNNERS[str(stage.host)]:
        return f"runs on {runner}"
    if leg.get("target", str(stage.host)) != str(stage.host):
        return f"is for {leg['target']}"
    if any(step.uses.startswith("Homebrew/") for step in job.steps):
        return "needs the real GitHub and the real brew"
    return ""


def _run_job(job: WorkflowJob, leg: Mapping[str, str], stage: Stage) -> None:
    folder = stage.folder / "jobs" / "-".join([job.name, *filter(None, [leg.get("target", "")])])
    command.run(["git", "clone", "-q", "--branch", stage.tag, stage.remote, folder], env=stage.environment)
    if not job.needs:
        _seed(stage.seed, folder / "build")
    may_write = (job.permissions or {}).get("contents") == "write"
    values = {f"matrix.{key}": value for key, value in leg.items()}
    values |= {"github.token": WRITER if may_write else READER, "github.ref_name": stage.tag}
    values |= {f"vars.{name}": stage.environment.get(name, "") for name in (debian.MIRROR, debian.FALLBACK)}
    bench = Bench(folder, stage.folder / "artifacts", stage.report)
    for step in job.steps:
        try:
            _run_step(step, values, bench, stage)
        except (CommandError, WorkflowError) as error:
            raise WorkflowError(f"the job {job.name} failed at {step.name!r}: {error}", error.remedy) from error
    shutil.rmtree(folder)


def _run_step(step: WorkflowStep, values: Mapping[str, str], bench: Bench, stage: Stage) -> None:
    if step.condition == "runner.os == 'macOS'":
        return
    if step.condition:
        raise WorkflowError(f"the rehearsal does not support the condition {step.condition!r}")
    if step.uses:
        inputs = {name: actions.fill_in(value, values) for name, value in step.inputs.items()}
        actions.act(step.uses, inputs, bench)
        return
    stage.report(f"+ {step.run}")
    own = {name: actions.fill_in(value, values) for name, value in step.env.items()}
    env = {**stage.environment, "GITHUB_WORKSPACE": str(bench.folder), **own}
    words: Sequence[str] = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step.run]
    command.run(words, cwd=bench.folder, env=env, seconds=SECONDS)


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
