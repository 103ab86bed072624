"""The command `workflows`: say what is wrong with .github/workflows."""

import os

import click

from stigmer_packaging.ci.workflow_lint import lint_with_actionlint, lint_with_zizmor
from stigmer_packaging.ci.workflows import find_disagreements, read_workflows
from stigmer_packaging.cli.machine import provide_go
from stigmer_packaging.cli.options import MANIFEST, ROOT
from stigmer_packaging.lib import environment
from stigmer_packaging.lib.errors import WorkflowError
from stigmer_packaging.manifest.reader import load_manifest


@click.command("workflows")
def workflows_command() -> None:
    """Check .github/workflows with actionlint, zizmor, and against the manifest."""
    folder, manifest = ROOT / ".github" / "workflows", load_manifest(MANIFEST)
    env = environment.build_environment(os.environ)
    problems = [
        *find_disagreements(read_workflows(folder), manifest),
        *lint_with_actionlint(folder, ROOT / "packaging" / "actionlint", provide_go(manifest), env=env),
        *lint_with_zizmor(folder, env=env),
    ]
    if problems:
        raise WorkflowError("the workflows have problems:\n" + "\n".join(f"  {problem}" for problem in problems))
