"""Local emulation of the few actions that our workflows use, and substitution of workflow expressions.

Each artifact is a directory in the artifacts directory. As on GitHub, an artifact preserves neither modes nor links, and
contains no hidden files: a downloaded file has mode 0644. Sources: the actions' own code, and that of @actions/glob.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib.digest import parse_sums
from stigmer_packaging.lib.errors import WorkflowError

_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")


@dataclass(frozen=True)
class JobContext:
    """A job's checkout (`folder`), the directory with the artifacts, and the function that prints progress."""

    folder: Path
    artifacts: Path
    report: Callable[[str], None]


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace each `${{ name }}` by its value; raise WorkflowError for an unknown name or any other expression."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise WorkflowError(f"a workflow uses ${{{{ {match[1]} }}}}, which has no value in the rehearsal")
        return values[match[1]]

    substituted = _EXPRESSION.sub(value, text)
    if "${{" in substituted:
        raise WorkflowError(f"a workflow uses an expression that the rehearsal does not support: {substituted}")
    return substituted


def run_action(uses: str, inputs: Mapping[str, str], context: JobContext) -> None:
    """Emulate an action; raise WorkflowError if it is not supported, or if it would fail on GitHub."""
    name = uses.partition("@")[0]
    if name not in _ACTIONS:
        raise WorkflowError(f"the rehearsal does not support the action {name}")
    _ACTIONS[name](inputs, context)


def _no_op(_inputs: Mapping[str, str], _context: JobContext) -> None:
    """Do nothing: the checkout and Python are already here."""


def _upload(inputs: Mapping[str, str], context: JobContext) -> None:
    paths = [context.folder / line.strip() for line in inputs["path"].splitlines() if line.strip()]
    if missing := [path.name for path in paths if not path.exists()]:
        raise WorkflowError(f"cannot upload {missing[0]} as {inputs['name']}: it does not exist")
    artifact = context.artifacts / inputs["name"]
    shutil.rmtree(artifact, ignore_errors=True)
    top = os.path.commonpath([path.parent if path.is_file() else path for path in paths])  # as on GitHub
    for path in paths:
        for file in _files(path):
            if not any(part.startswith(".") for part in file.relative_to(path.parent).parts):
                _copy(file, artifact / file.relative_to(top))


def _download(inputs: Mapping[str, str], context: JobContext) -> None:
    destination = context.folder / inputs.get("path", ".")
    if name := inputs.get("name"):
        if not (context.artifacts / name).is_dir():
            raise WorkflowError(f"no job has uploaded {name}")
        _copy_all(context.artifacts / name, destination)
        return
    found = sorted(context.artifacts.glob(inputs["pattern"]))
    if not found:
        raise WorkflowError(f"no job has uploaded an artifact that matches {inputs['pattern']}")
    for artifact in found:
        _copy_all(artifact, destination if len(found) == 1 else destination / artifact.name)


def _attest(inputs: Mapping[str, str], context: JobContext) -> None:
    if not (subjects := _subjects(inputs, context.folder)):
        raise WorkflowError(
            f"there is nothing to attest in {inputs.get('subject-checksums') or inputs['subject-path']}"
        )
    if (sbom := inputs.get("sbom-path")) and not (context.folder / sbom).is_file():
        raise WorkflowError(f"the SBOM to attest does not exist: {sbom}")
    context.report(f"would attest {', '.join(subjects)}")


def _subjects(inputs: Mapping[str, str], folder: Path) -> list[str]:
    """Return the names of the files to attest: those in a list of checksums, or those that the patterns match."""
    if checksums := inputs.get("subject-checksums"):
        listed = folder / checksums
        return list(parse_sums(listed.read_text(encoding="utf-8"))) if listed.is_file() else []
    patterns = [line.strip() for line in inputs["subject-path"].splitlines() if line.strip()]
    matched = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [file.name for path in matched for file in _files(path)]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]


def _copy_all(source: Path, destination: Path) -> None:
    for file in _files(source):
        _copy(file, destination / file.relative_to(source))


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, destination)
    destination.chmod(0o644)


_ACTIONS: Mapping[str, Callable[[Mapping[str, str], JobContext], None]] = {
    "actions/checkout": _no_op,
    "astral-sh/setup-uv": _no_op,
    "actions/upload-artifact": _upload,
    "actions/download-artifact": _download,
    "actions/attest": _attest,
}
