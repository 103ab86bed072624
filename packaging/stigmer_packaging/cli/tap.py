"""The commands of the tap: `tap-refresh` for the formula in this repository, `tap-init` for a tap kept apart from it."""

import os
import sys
from pathlib import Path

import click

from stigmer_packaging.formula.tap_files import refresh_formula, render_tap
from stigmer_packaging.lib import environment, git
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.reader import load_manifest


def refresh_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`, which is a tap."""
    purpose = "Write Formula/NAME.rb anew for the bottles it names: after a change of template or manifest."

    def act() -> None:
        manifest = load_manifest(root / "packaging" / "manifest.yaml")
        path = root / "Formula" / f"{manifest.product.name}.rb"
        text = refresh_formula(path.read_text(encoding="utf-8"), manifest)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(root)}\n")

    return click.Command("tap-refresh", callback=act, help=purpose, short_help=purpose)


def init_command(root: Path) -> click.Command:
    """Make the command for the checkout at `root`."""
    purpose = "Make a complete tap repository at FOLDER, for those who keep the tap apart (`tap: owner/homebrew-name`)."
    file, place = click.Path(dir_okay=False, exists=True, path_type=Path), click.Path(file_okay=False, path_type=Path)
    options = [
        click.Argument(["folder"], type=place),
        click.Option(["--formula"], type=file, help="The formula it begins with; default: the one in Formula/."),
        click.Option(
            ["--manifest"], type=file, default=root / "packaging" / "manifest.yaml", help="What says the tap's name."
        ),
    ]

    def act(folder: Path, formula: Path | None, manifest: Path) -> None:
        product = (said := load_manifest(manifest)).product
        text = (formula or root / "Formula" / f"{product.name}.rb").read_text(encoding="utf-8")
        licence = (root / "LICENSE").read_text(encoding="utf-8")
        _write(folder, render_tap(said, text, licence, root / "packaging"))
        env = environment.build_environment(os.environ)
        git.start_repository(folder, f"Create the tap of {product.name}", author=product.name, env=env)

    return click.Command("tap-init", params=options, callback=act, help=purpose, short_help=purpose)


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder that is not there yet or is empty; RecordError when it holds anything."""
    if folder.exists() and any(folder.iterdir()):
        raise RecordError(f"{folder} is not empty", "name a folder that does not exist yet")
    for path, text in sorted(files.items()):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{place}\n")
