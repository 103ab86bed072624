"""The command `rehearse`: from a tag to a verified installation, on this machine, by the workflow's own lines."""

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
from stigmer_packaging.ci.rehearsal import WRITER, RehearsalSetup, rehearse
from stigmer_packaging.ci.workflow_file import parse_workflow
from stigmer_packaging.cli.machine import cache_folder, this_platform
from stigmer_packaging.cli.options import FOLDER, ROOT, VARIABLE, manifest_option
from stigmer_packaging.cli.output import print_progress
from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.lib import command, debian, environment, git, http
from stigmer_packaging.lib.errors import WorkflowError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.publish.github import PUBLIC
from stigmer_packaging.publish.plan import changelog_section, formula_path
from stigmer_packaging.records.workspace import Workspace

READY = '"pid"'
_PASSED = ("PYTHON", "DEBIAN_FRONTEND", debian.MIRROR, debian.FALLBACK)


@dataclass(frozen=True)
class RehearsalContext:
    """Inputs of a rehearsal: the manifest, this machine, its folder, and the environment of git and the scripts."""

    manifest: Manifest
    host: Target
    folder: Path
    env: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The tag that is released."""
        return release_tag(self.manifest.product.version)


@click.command("rehearse")
@click.option("--level", default="sandbox", show_default=True, help="How the draft's bottle is verified.")
@manifest_option
@click.option("--seed", type=FOLDER, default=ROOT / "build", help="An earlier build; default: build/.")
def rehearse_command(level: str, manifest: Path, seed: Path) -> None:
    """Release to a fake GitHub on this machine, by the release workflow's own lines, and install from it."""
    with Workspace(ROOT / "build", cache_folder()).locked("rehearse"):  # the seed must not change while it is copied
        _rehearse(level, manifest, seed)


def _rehearse(level: str, manifest: Path, seed: Path) -> None:
    folder = ROOT / "build" / "rehearsal"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    env = {**environment.build_environment(os.environ), **_identity(), **kept}
    context = RehearsalContext(load_manifest(manifest), this_platform(), folder, env)
    with _github(context) as addresses:
        server = addresses["GITHUB_SERVER_URL"]
        remote = f"{server}/{context.manifest.product.repository}.git"
        commit = _tag(manifest, context, remote)
        known = env | addresses | _actions_environment(context, commit)
        setup = RehearsalSetup(
            folder, remote, context.tag, context.host, seed.absolute(), known, {"level": level}, print_progress
        )
        lines = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
        jobs = rehearse(parse_workflow(lines), setup)
        print_progress("== install from what was published")
        _install(context, remote, server)
    shutil.rmtree(folder)
    for one in jobs:
        sys.stdout.write(f"{one.job:24} {one.skip_reason or f'{one.seconds:.0f} s'}\n")
    sys.stdout.write("the published bottle was installed from the tap and verified\n")


def _identity() -> dict[str, str]:
    who = {"NAME": "Rehearsal", "EMAIL": "rehearsal@example.invalid"}
    return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}


def _actions_environment(context: RehearsalContext, commit: str) -> dict[str, str]:
    """Return the variables that Actions sets. Source: GitHub's documentation of default environment variables."""
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": f"refs/tags/{context.tag}",
        "GITHUB_REF_NAME": context.tag,
        "GITHUB_REF_TYPE": "tag",
        "GITHUB_REPOSITORY": context.manifest.product.repository,
        "GITHUB_RUN_ID": "1",
        "GITHUB_SHA": commit,
        "GITHUB_STEP_SUMMARY": str(context.folder / "summary.md"),
        "RUNNER_OS": "Linux",
        VARIABLE: str(context.host),  # the other platforms' bottles could not be verified here
    }


@contextmanager
def _github(context: RehearsalContext) -> Iterator[dict[str, str]]:
    """Run a fake GitHub that only WRITER may write to, and yield its addresses as variables."""
    argv = [sys.executable, "-P", "-m", "support.fake_github", "--folder", str(context.folder / "github")]
    argv += ["--repository", context.manifest.product.repository, "--token", WRITER]
    env = {**context.env, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'packaging'}"}
    with command.running(argv, env=env, cwd=context.folder, log=context.folder / "github.log") as server:
        server.wait_for(READY, seconds=60)
        message = json.loads(next(line for line in server.output.splitlines() if READY in line))
        yield {name: value for name, value in message.items() if name.startswith("GITHUB_")}


def _tag(manifest: Path, context: RehearsalContext, remote: str) -> str:
    """Push a tag as a maintainer would, for this tree with its changes listed under the version; return its commit."""
    work, env = context.folder / "maintainer", context.env
    writer = remote.replace("://", f"://x-access-token:{WRITER}@", 1)
    command.run(["git", "clone", "-q", writer, work], env=env)
    tracked = git.list_tracked(ROOT, ["."], env=env)
    if not tracked:
        remedy = "run scripts/rehearse in a git checkout"
        raise WorkflowError(f"{ROOT} is not a git repository: only tracked files can be released", remedy)
    for name in tracked:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, work / name, follow_symlinks=False)
    shutil.copyfile(manifest, work / "packaging" / "manifest.yaml")
    changes = work / "CHANGELOG.md"
    text = with_section(changes.read_text(encoding="utf-8"), context.manifest.product.version)
    changes.write_text(text, encoding="utf-8")
    for arguments in ("add --all --force", f"commit -qm {context.tag}", f"tag {context.tag}"):
        command.run(["git", "-C", work, *arguments.split()], env=env)
    command.run(["git", "-C", work, "push", "-q", "origin", "HEAD", context.tag], env=env)
    return git.resolve(work, context.tag, env=env)


def with_section(text: str, version: str) -> str:
    """Return a changelog with a section for the version: `Unreleased` is renamed to it, unless it has one already."""
    return text if changelog_section(text, version) else text.replace("## Unreleased\n", f"## {version}\n", 1)


def _install(context: RehearsalContext, remote: str, server: str) -> None:
    """Install from the tap as brew does: download the formula's bottle, check its sha256, pour it, and verify it."""
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
    script = ROOT / "scripts" / "verify-install"
    argv: list[str | Path] = [script, "--prefix", keg, "--expect-version", product.version, "--free-ports"]
    command.run(argv, env=context.env, seconds=900)
