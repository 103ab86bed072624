"""The command `workflows`: write .github/workflows, or say what is wrong with what is there."""

import os
import sys
from pathlib import Path

import click

from stigmer_packaging.ci import workflow_lint
from stigmer_packaging.ci.workflows import find_stale, render_workflows
from stigmer_packaging.cli.machine import cache_folder, this_platform
from stigmer_packaging.lib import environment
from stigmer_packaging.lib.errors import WorkflowError
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.sources import golang


def workflows_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`."""
    check = click.Option(
        ["--check"], is_flag=True, help="Write nothing; fail when a file is stale or a linter objects."
    )
    purpose = "Write .github/workflows from their templates and the manifest."

    def act(*, check: bool) -> None:
        folder = root / ".github" / "workflows"
        rendered = render_workflows(
            load_manifest(root / "packaging" / "manifest.yaml"), root / "packaging" / "workflows"
        )
        if check:
            _check(root, folder, find_stale(rendered, folder))
        else:
            _write(folder, rendered)

    return click.Command("workflows", params=[check], callback=act, help=purpose, short_help=purpose)


def _write(folder: Path, rendered: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rendered.items():
        (folder / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{folder.name}/{name}\n")


def _check(root: Path, folder: Path, stale: tuple[str, ...]) -> None:
    problems = [f"{name}: not what packaging/workflows and the manifest give" for name in stale]
    problems += [str(remark) for remark in _lint(root, folder)]
    if problems:
        raise WorkflowError("the workflows have problems:\n" + "\n".join(f"  {problem}" for problem in problems))


def _lint(root: Path, folder: Path) -> tuple[workflow_lint.Remark, ...]:
    toolchain = load_manifest(root / "packaging" / "manifest.yaml").go
    env = environment.build_environment(os.environ)
    chosen = golang.choose_go(toolchain, env)
    go = golang.provide_go(chosen, toolchain, this_platform(), cache_folder(), env=env, report=lambda _: None)
    module = root / "packaging" / "workflows"
    return workflow_lint.lint_with_actionlint(folder, module, go, env=env) + workflow_lint.lint_with_zizmor(
        folder, env=env
    )
