"""The command `rehearse`: from a tag to an installation that proved itself, on this machine, by the workflow's own lines."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.ci.rehearsal import WRITER, Rehearsed, Stage, rehearse
from stigmer_packaging.ci.workflow_file import read_workflow
from stigmer_packaging.cli.ci_environment import CIEnvironment
from stigmer_packaging.cli.machine import this_platform
from stigmer_packaging.cli.targets import VARIABLE
from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.lib import command, debian, environment, git, http
from stigmer_packaging.lib.errors import WorkflowError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.publish.github import PUBLIC
from stigmer_packaging.publish.plan import formula_path, section_of

READY = '"pid"'
_PASSED = ("PYTHON", "DEBIAN_FRONTEND", debian.MIRROR, debian.FALLBACK)


@dataclass(frozen=True)
class RehearsalContext:
    """What the rehearsal is about: the manifest, this machine, a folder of its own, and what git and the scripts see."""

    manifest: Manifest
    host: Target
    folder: Path
    env: Mapping[str, str]


def rehearse_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`."""
    folder, file = click.Path(file_okay=False, path_type=Path), click.Path(dir_okay=False, path_type=Path)
    parameters: list[click.Parameter] = [
        click.Option(["--level"], default="sandbox", show_default=True, help="How the draft's bottle is verified."),
        click.Option(
            ["--manifest"], type=file, default=root / "packaging" / "manifest.yaml", help="Of another product."
        ),
        click.Option(["--seed"], type=folder, default=root / "build", help="An earlier build; default: build/."),
    ]
    purpose = "Release to a GitHub on this machine, by the release workflow's own lines, and install from there."

    def act(*, level: str, manifest: Path, seed: Path) -> None:
        _rehearse(root, manifest, level, seed.absolute())

    return click.Command("rehearse", params=parameters, callback=act, help=purpose, short_help=purpose)


def _rehearse(root: Path, manifest: Path, level: str, seed: Path) -> None:
    seen = CIEnvironment(os.environ)
    folder = root / "build" / "rehearsal"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    host = this_platform()
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    env = {**environment.build_environment(os.environ), **_identity(), **kept}
    context = RehearsalContext(load_manifest(manifest), host, folder, env)
    with _github(root, context) as addresses:
        remote = f"{addresses['GITHUB_SERVER_URL']}/{context.manifest.product.repository}.git"
        tag = release_tag(context.manifest.product.version)
        commit = _tag(root, manifest, context, remote)
        known = env | addresses | _actions_environment(context, tag, commit)
        stage = Stage(folder, remote, tag, commit, host, seed, known, {"level": level}, seen.tell)
        done = rehearse(read_workflow(root / ".github" / "workflows" / "release.yml"), stage)
        seen.tell("== install from what was published")
        _install(root, context, remote, addresses["GITHUB_SERVER_URL"])
    shutil.rmtree(folder)
    _show(done)


def _identity() -> dict[str, str]:
    who = {"NAME": "Rehearsal", "EMAIL": "rehearsal@example.invalid"}
    return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}


def _actions_environment(context: RehearsalContext, tag: str, commit: str) -> dict[str, str]:
    """Give the variables that Actions sets. Source: GitHub's documentation of default environment variables."""
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": f"refs/tags/{tag}",
        "GITHUB_REF_NAME": tag,
        "GITHUB_REF_TYPE": "tag",
        "GITHUB_REPOSITORY": context.manifest.product.repository,
        "GITHUB_RUN_ID": "1",
        "GITHUB_SHA": commit,
        "GITHUB_STEP_SUMMARY": str(context.folder / "summary.md"),
        "RUNNER_OS": "Linux",
        VARIABLE: str(context.host),  # the other platforms' bottles could not be verified here
    }


@contextmanager
def _github(root: Path, context: RehearsalContext) -> Iterator[dict[str, str]]:
    """Serve a GitHub that lets only WRITER write, and give its addresses."""
    words = [sys.executable, "-P", "-m", "support.fake_github", "--folder", str(context.folder / "github")]
    words += ["--repository", context.manifest.product.repository, "--token", WRITER]
    env = {**context.env, "PYTHONPATH": f"{root / 'tests'}{os.pathsep}{root / 'packaging'}"}
    with command.running(words, env=env, cwd=context.folder, log=context.folder / "github.log") as server:
        server.wait_for(READY, seconds=60)
        told = json.loads(next(line for line in server.output.splitlines() if READY in line))
        yield {name: value for name, value in told.items() if name.startswith("GITHUB_")}


def _tag(root: Path, manifest: Path, context: RehearsalContext, remote: str) -> str:
    """Push what a maintainer would: this tree, with its changes under the version."""
    work = context.folder / "maintainer"
    writer = remote.replace("://", f"://x-access-token:{WRITER}@", 1)
    command.run(["git", "clone", "-q", writer, work], env=context.env)
    tracked = git.list_tracked(root, ["."], env=context.env)
    if not tracked:
        raise WorkflowError(f"{root} is no git repository: only what is tracked can be released")
    for name in tracked:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, work / name, follow_symlinks=False)
    tag = release_tag(context.manifest.product.version)
    shutil.copyfile(manifest, work / "packaging" / "manifest.yaml")
    changes = work / "CHANGELOG.md"
    changes.write_text(
        with_section(changes.read_text(encoding="utf-8"), context.manifest.product.version), encoding="utf-8"
    )
    for words in (
        ["add", "--all", "--force"],
        ["commit", "-qm", tag],
        ["tag", tag],
        ["push", "-q", "origin", "HEAD", tag],
    ):
        command.run(["git", "-C", work, *words], env=context.env)
    return git.resolve(work, tag, env=context.env)


def with_section(text: str, version: str) -> str:
    """Give a changelog that speaks of the version: where it has no section yet, what is not released becomes one."""
    return text if section_of(text, version) else text.replace("## Unreleased\n", f"## {version}\n", 1)


def _install(root: Path, context: RehearsalContext, remote: str, server: str) -> None:
    """Do as brew does with the tap as it is now: fetch the bottle the formula names, check it, pour it, and try it."""
    tap, product = context.folder / "tap", context.manifest.product
    command.run(["git", "clone", "-q", remote, tap], env=context.env)
    facts = parse_formula((tap / formula_path(product.name)).read_text(encoding="utf-8"))
    tag = context.manifest.tag_of(context.host)
    found = [one for one in (facts.downloads(product.name) if facts else ()) if f".{tag}." in one.url]
    if not found:
        raise WorkflowError(f"the tap's formula names no bottle for {tag}")
    url = found[0].url.replace(PUBLIC, server, 1)
    bottle = http.download(url, found[0].sha256, context.folder / "bottle.tar.gz")
    unpack_archive(bottle, context.folder / "Cellar")
    keg = context.folder / "Cellar" / product.name / product.version
    script = root / "scripts" / "verify-install"
    command.run(
        [script, "--prefix", keg, "--expect-version", product.version, "--free-ports"], env=context.env, seconds=900
    )


def _show(done: tuple[Rehearsed, ...]) -> None:
    for one in done:
        sys.stdout.write(f"{one.job:24} {one.left_out or f'{one.seconds:.0f} s'}\n")
    sys.stdout.write("the published bottle was installed from the tap, and proved itself\n")
