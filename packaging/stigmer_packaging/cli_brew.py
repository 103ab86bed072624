"""The command `verify-brew`: a delivered release put to the trial with the brew on PATH."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import click

from stigmer_packaging.errors import MissingToolError
from stigmer_packaging.makers import refuse_failure
from stigmer_packaging.manifest import load_manifest
from stigmer_packaging.stages.brew import verify_with_brew
from stigmer_packaging.tools import environment
from stigmer_packaging.tools.brew import find_brew
from stigmer_packaging.workspace import Workspace


def brew_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`; what it makes goes to `build/` there unless told otherwise."""
    folder = click.Path(file_okay=False, exists=True, path_type=Path)
    place = click.Path(file_okay=False, path_type=Path)
    purpose = "Put a delivered release to the trial with the Homebrew on PATH, which must not have it yet."
    options: list[click.Parameter] = [
        click.Option(["--release"], type=folder, default=root / "dist", help="The delivered release; default: dist/."),
        click.Option(["--next", "later"], type=folder, help="A delivered later release, to upgrade to."),
        click.Option(["--workspace"], type=place, default=root / "build", help="Default: build/."),
    ]
    return click.Command("verify-brew", params=options, callback=_act(root), help=purpose, short_help=purpose)


def _act(root: Path) -> Callable[..., None]:
    def act(release: Path, later: Path | None, workspace: Path) -> None:
        program = find_brew(os.environ.get("PATH", ""))
        if program is None:
            raise MissingToolError("there is no brew on PATH", "install Homebrew, as a user other than root")
        manifest = load_manifest(root / "packaging" / "manifest.yaml")
        place = Workspace(workspace.absolute(), environment.cache_root(os.environ, Path.home()))
        found = verify_with_brew(
            [release, *([later] if later else [])],
            program,
            ports=tuple(name for part in manifest.components for name in part.run.ports),
            env=os.environ,
            workspace=place,
            clock=time.monotonic,
            report=lambda text: click.echo(text, err=True),
        )
        for check in found.checks:
            mark, detail = "ok" if check.passed else "FAILED", check.detail.partition("\n")[0]
            click.echo(f"{mark:6} {check.name} ({check.seconds:.1f} s) {detail}".rstrip())
        refuse_failure(found, str(workspace))

    return act
