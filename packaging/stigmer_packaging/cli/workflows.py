"""The command `workflows`: say what is wrong with .github/workflows."""

import os
from pathlib import Path

import click

from stigmer_packaging.ci.workflow_lint import lint_with_actionlint, lint_with_zizmor
from stigmer_packaging.ci.workflows import find_disagreements, read_workflows
from stigmer_packaging.cli.machine import cache_folder, this_platform
from stigmer_packaging.lib import environment
from stigmer_packaging.lib.errors import WorkflowError
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.sources import golang


def workflows_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`."""
    purpose = "Check .github/workflows with actionlint, zizmor, and against the manifest."

    def act() -> None:
        folder, manifest = root / ".github" / "workflows", load_manifest(root / "packaging" / "manifest.yaml")
        problems = [*find_disagreements(read_workflows(folder), manifest), *_lint(root, folder, manifest)]
        if problems:
            raise WorkflowError("the workflows have problems:\n" + "\n".join(f"  {problem}" for problem in problems))

    return click.Command("workflows", callback=act, help=purpose, short_help=purpose)


def _lint(root: Path, folder: Path, manifest: Manifest) -> list[str]:
    env = environment.build_environment(os.environ)
    chosen = golang.choose_go(manifest.go, env)
    go = golang.provide_go(chosen, this_platform(), cache_folder(), env=env, report=lambda _: None)
    module = root / "packaging" / "actionlint"
    return [*lint_with_actionlint(folder, module, go, env=env), *lint_with_zizmor(folder, env=env)]
