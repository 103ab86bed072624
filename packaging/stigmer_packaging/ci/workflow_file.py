"""Parsing workflow files: jobs in an order that satisfies their needs, each with its matrix legs and steps."""

import graphlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True)
class WorkflowStep:
    """One step: `run` is a shell command, or `uses` an action with `inputs`; they may contain expressions.

    `condition` is its `if`, empty if there is none. If the step is `tolerated`, its failure does not fail the job.
    """

    name: str
    run: str
    uses: str
    inputs: Mapping[str, str]
    env: Mapping[str, str]
    condition: str
    tolerated: bool


@dataclass(frozen=True)
class WorkflowJob:
    """One job: `legs` are the combinations of its matrix, a single empty one if it has no matrix.

    `condition` is its `if`; without one, it runs when every job it needs has succeeded. If the job is `tolerated`, its
    failure does not fail the run.
    """

    name: str
    needs: tuple[str, ...]
    runner: str
    environment: str
    permissions: Mapping[str, str] | None
    minutes: int
    legs: tuple[Mapping[str, str], ...]
    steps: tuple[WorkflowStep, ...]
    condition: str
    tolerated: bool


@dataclass(frozen=True)
class Workflow:
    """One workflow: its name, the default permissions of its jobs, its concurrency, and its jobs in order of needs."""

    name: str
    permissions: Mapping[str, str] | None
    concurrency: Mapping[str, object]
    jobs: tuple[WorkflowJob, ...]


def parse_workflow(text: str) -> Workflow:
    """Parse a workflow; raise KeyError if it lacks a key that GitHub requires."""
    document: Any = YAML(typ="safe").load(text)
    jobs = {name: _job(name, job) for name, job in document["jobs"].items()}
    order = graphlib.TopologicalSorter({name: job.needs for name, job in jobs.items()}).static_order()
    sorted_jobs = tuple(jobs[name] for name in order)
    return Workflow(document["name"], document.get("permissions"), document.get("concurrency", {}), sorted_jobs)


def _job(name: str, job: Mapping[str, Any]) -> WorkflowJob:
    needs = job.get("needs", [])
    return WorkflowJob(
        name=name,
        needs=(needs,) if isinstance(needs, str) else tuple(needs),
        runner=job["runs-on"],
        environment=job.get("environment", ""),
        permissions=job.get("permissions"),
        minutes=job.get("timeout-minutes", 0),
        legs=tuple(job.get("strategy", {}).get("matrix", {}).get("include", [{}])),
        steps=tuple(map(_step, job["steps"])),
        condition=str(job.get("if", "")),
        tolerated=_is_tolerated(job),
    )


def _step(step: Mapping[str, Any]) -> WorkflowStep:
    inputs, env = ({name: str(value) for name, value in step.get(key, {}).items()} for key in ("with", "env"))
    name, run, uses, condition = (str(step.get(key, "")) for key in ("name", "run", "uses", "if"))
    return WorkflowStep(name, run, uses, inputs, env, condition, _is_tolerated(step))


def _is_tolerated(part: Mapping[str, Any]) -> bool:
    return part.get("continue-on-error", False) is not False  # an expression may be true
