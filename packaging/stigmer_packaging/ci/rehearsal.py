"""The release workflow, carried out here: its Linux jobs' own `run` lines, in their order, against a GitHub of our own."""

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
"""What of an earlier build's workspace the first job does not begin with."""

READER, WRITER = "ghs_rehearsalMayRead", "ghs_rehearsalMayWrite"


@dataclass(frozen=True)
class Stage:
    """Where a rehearsal takes place: a folder of its own, the repository's address, the tag that is released.

    `seed` is the workspace of an earlier build, whose artefacts are taken where they are current; `environment`, what
    every job sees; `replaced`, other values of a matrix, such as how a bottle is verified.
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
    """What came of one job: its name with its target, how long it took in seconds, and why it was left out, if so."""

    job: str
    seconds: float
    left_out: str = ""


def rehearse(workflow: Workflow, stage: Stage) -> tuple[Rehearsed, ...]:
    """Carry out every job that would run on a machine like this one; the first failure ends the rehearsal."""
    return tuple(done for job in workflow.jobs for done in _legs(job, stage))


def _legs(job: WorkflowJob, stage: Stage) -> Iterator[Rehearsed]:
    for leg in job.legs:
        name = " ".join([job.name, leg.get("target", "")]).strip()
        if reason := _why_not(job, leg, stage):
            yield Rehearsed(name, 0, reason)
            continue
        stage.report(f"== {name}")
        began = monotonic()
        _carry_out(job, {**leg, **{key: value for key, value in stage.replaced.items() if key in leg}}, stage)
        done = Rehearsed(name, monotonic() - began)
        stage.report(f"== {name}: done in {done.seconds:.0f} s")
        yield done


def _why_not(job: WorkflowJob, leg: Mapping[str, str], stage: Stage) -> str:
    runner = leg.get("runner", job.runner)
    if runner != RUNNERS[str(stage.host)]:
        return f"runs on {runner}"
    if leg.get("target", str(stage.host)) != str(stage.host):
        return f"is for {leg['target']}"
    if any(step.uses.startswith("Homebrew/") for step in job.steps):
        return "asks the real GitHub, by the real brew"
    return ""


def _carry_out(job: WorkflowJob, leg: Mapping[str, str], stage: Stage) -> None:
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
            _step(step, values, bench, stage)
        except (CommandError, WorkflowError) as error:
            raise WorkflowError(f"the job {job.name} fails at {step.name!r}: {error}", error.remedy) from error
    shutil.rmtree(folder)


def _step(step: WorkflowStep, values: Mapping[str, str], bench: Bench, stage: Stage) -> None:
    if step.condition == "runner.os == 'macOS'":
        return
    if step.condition:
        raise WorkflowError(f"the rehearsal does not understand the condition {step.condition!r}")
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
    """Let the first job find what was built before; files are linked, for nobody changes one in its place."""
    for folder in sorted(seed.iterdir()) if seed.is_dir() else []:
        if folder.is_dir() and folder.name not in OWN:
            shutil.copytree(folder, build / folder.name, symlinks=True, copy_function=_link)


def _link(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system
        shutil.copy2(source, destination)
