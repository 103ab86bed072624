"""The few actions that our workflows use, as they act on files here, and the expressions that they fill in.

Artifacts lie in a folder, one below it for each. As on GitHub, what comes back from there is readable and writable by its
owner, and has lost every other mode and every link.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib.errors import WorkflowError

_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")


@dataclass(frozen=True)
class Bench:
    """Where a job works (`folder` is its checkout), where artifacts are kept, and who is told."""

    folder: Path
    artifacts: Path
    report: Callable[[str], None]


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Fill in `${{ name }}` by its value; WorkflowError for a name without one, or an expression that is more."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise WorkflowError(f"a workflow uses ${{{{ {match[1]} }}}}, which the rehearsal does not know")
        return values[match[1]]

    filled = _EXPRESSION.sub(value, text)
    if "${{" in filled:
        raise WorkflowError(f"a workflow uses an expression that the rehearsal does not understand: {filled}")
    return filled


def act(uses: str, inputs: Mapping[str, str], bench: Bench) -> None:
    """Do what an action does to files; WorkflowError for an action that is not known here, or that would fail there."""
    name = uses.partition("@")[0]
    if name not in _ACTIONS:
        raise WorkflowError(f"the rehearsal does not know the action {name}")
    _ACTIONS[name](inputs, bench)


def _nothing(_inputs: Mapping[str, str], _bench: Bench) -> None:
    """Let be: the checkout and a Python are here already."""


def _upload(inputs: Mapping[str, str], bench: Bench) -> None:
    named = [bench.folder / line.strip() for line in inputs["path"].splitlines() if line.strip()]
    if missing := [path.name for path in named if not path.exists()]:
        raise WorkflowError(f"there is no {missing[0]} to upload as {inputs['name']}")
    place = bench.artifacts / inputs["name"]
    shutil.rmtree(place, ignore_errors=True)
    top = os.path.commonpath([path.parent if path.is_file() else path for path in named])  # as GitHub finds it
    for file in (file for path in named for file in _files(path)):
        _copy(file, place / file.relative_to(top))


def _download(inputs: Mapping[str, str], bench: Bench) -> None:
    place = bench.folder / inputs.get("path", ".")
    if name := inputs.get("name"):
        if not (bench.artifacts / name).is_dir():
            raise WorkflowError(f"no job has uploaded {name}")
        _copy_all(bench.artifacts / name, place)
        return
    found = sorted(bench.artifacts.glob(inputs["pattern"]))
    if not found:
        raise WorkflowError(f"no job has uploaded anything like {inputs['pattern']}")
    for artifact in found:
        _copy_all(artifact, place / artifact.name)


def _attest(inputs: Mapping[str, str], bench: Bench) -> None:
    patterns = [line.strip() for line in inputs["subject-path"].splitlines() if line.strip()]
    subjects = [path for pattern in patterns for path in sorted(bench.folder.glob(pattern)) if path.is_file()]
    if not subjects:
        raise WorkflowError(f"there is nothing to attest at {inputs['subject-path']}")
    if (bill := inputs.get("sbom-path")) and not (bench.folder / bill).is_file():
        raise WorkflowError(f"there is no {bill} to attest")
    bench.report(f"would attest {', '.join(path.name for path in subjects)}")


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]


def _copy_all(source: Path, place: Path) -> None:
    for file in _files(source):
        _copy(file, place / file.relative_to(source))


def _copy(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)
    place.chmod(0o644)


_ACTIONS: Mapping[str, Callable[[Mapping[str, str], Bench], None]] = {
    "actions/checkout": _nothing,
    "astral-sh/setup-uv": _nothing,
    "actions/upload-artifact": _upload,
    "actions/download-artifact": _download,
    "actions/attest": _attest,
}
