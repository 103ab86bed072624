"""Commands for the workflows: a check of them, and the small steps of their jobs, which also run locally."""

import os
import sys
from pathlib import Path

import click

from stigmer_packaging.ci.workflows import find_disagreements, lint_with_actionlint, lint_with_zizmor, read_workflows
from stigmer_packaging.cli import ci_environment
from stigmer_packaging.cli.machine import provide_go, this_machine
from stigmer_packaging.cli.options import MANIFEST, RELEASE_FOLDER, ROOT
from stigmer_packaging.formula.receipt import tap_name
from stigmer_packaging.lib import environment
from stigmer_packaging.lib.errors import MissingToolError, PublicationError, WorkflowError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline import system
from stigmer_packaging.publish.github import PUBLIC, GitHub
from stigmer_packaging.records.release import Release, read_release

TITLE = "The documented install does not work"


def _product() -> Product:
    return load_manifest(MANIFEST).product


@click.command()
def agree() -> None:
    """Refuse a tag that does not match the version in packaging/manifest.yaml."""
    tag, expected = ci_environment.tag(), release_tag(_product().version)
    if tag != expected:
        remedy = f"run it for the tag {expected}, or change the manifest's version and tag that commit"
        raise PublicationError(f"this runs for {tag or 'no tag'}, but the manifest has {expected}", remedy)


@click.command()
def missing() -> None:
    """Print the Debian packages that this machine lacks for building and verifying, on one line."""
    machine = this_machine()
    packages = {requirement.package for requirement in system.find_missing(system.RELEASE, machine)}
    sys.stdout.write(" ".join(sorted(packages - {""})) + "\n")


@click.command()
def go() -> None:
    """Print the path of a Go that is new enough: the one on PATH, else the pinned wheel's."""
    sys.stdout.write(f"{provide_go(load_manifest(MANIFEST))}\n")


@click.command()
@click.option("--sources", is_flag=True, help="Also check for Debian's archives, which building needs.")
def preflight(*, sources: bool) -> None:
    """Fail with a list of everything that this machine lacks for building and verifying, before the work starts."""
    if problems := tuple(system.find_problems(this_machine(), os.environ, Path("/etc"), sources=sources)):
        remedy = "correct each of them on this machine or in the workflow, then run again"
        raise MissingToolError(system.render_problems(problems), remedy)


@click.command()
@click.argument("dist", type=RELEASE_FOLDER)
def announce(dist: Path) -> None:
    """Print an announcement of the release in DIST as Markdown: how to install it, and its files."""
    sys.stdout.write(describe_release(read_release(dist)))


def describe_release(release: Release) -> str:
    """Return the announcement as Markdown."""
    product, tag = release.product, release_tag(release.product.version)
    page = f"{PUBLIC}/{product.repository}/releases/tag/{tag}"
    lines = [f"## [{product.name} {product.version}]({page})", "", "```sh"]
    lines += [f"brew install {tap_name(product)}/{product.name}", "```", ""]
    lines += ["| file | MB | sha256 |", "|---|---:|---|"]
    lines += [f"| {one.name} | {one.size / 1e6:.1f} | `{one.sha256}` |" for one in release.artefacts]
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--outcome", required=True, help="The outcome of testing the documented install, such as success.")
def report_install(outcome: str) -> None:
    """Open an issue when the documented install does not work, and close it when it works again."""
    github = GitHub(ci_environment.access(), _product().repository)
    number = github.retry(github.find_issue, TITLE)
    run = f"{ci_environment.server()}/{github.repository}/actions/runs/{os.environ.get('GITHUB_RUN_ID', '')}"
    if outcome == "success":
        if number:
            github.comment(number, f"It works again: {run}")
            github.close_issue(number)
    elif not number:
        sys.stdout.write(github.open_issue(TITLE, f"The test ended with `{outcome}`: {run}\n") + "\n")


@click.command()
def workflows() -> None:
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


COMMANDS = (agree, missing, go, preflight, announce, report_install, workflows)
