"""The commands for taps: `tap-refresh` for the formula in this repository, `tap-init` for a tap in its own."""

import os
import sys
from pathlib import Path

import click

from stigmer_packaging.cli.options import FILE, FOLDER, ROOT, manifest_option, read_text
from stigmer_packaging.formula.tap_files import refresh_formula, render_tap
from stigmer_packaging.lib import environment, git
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.reader import load_manifest


@click.command("tap-refresh")
def refresh_command() -> None:
    """Rewrite Formula/NAME.rb for the bottles it lists, after a change of the template or the manifest."""
    manifest = load_manifest(ROOT / "packaging" / "manifest.yaml")
    path = ROOT / "Formula" / f"{manifest.product.name}.rb"
    text = refresh_formula(path.read_text(encoding="utf-8"), manifest)
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")


@click.command("tap-init")
@click.argument("folder", type=FOLDER)
@click.option("--formula", type=FILE, help="The initial formula; default: the one in Formula/.")
@manifest_option
def init_command(folder: Path, formula: Path | None, manifest: Path) -> None:
    """Create a complete tap repository at FOLDER, for a tap in a repository of its own (`tap: owner/homebrew-name`)."""
    loaded = load_manifest(manifest)
    product = loaded.product
    text = read_text(formula or ROOT / "Formula" / f"{product.name}.rb")
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    _write(folder, render_tap(loaded, text, licence, ROOT / "packaging"))
    env = environment.build_environment(os.environ)
    git.start_repository(folder, f"Create the tap of {product.name}", author=product.name, env=env)


def _write(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder that is missing or empty; RecordError if it contains anything."""
    if folder.exists() and any(folder.iterdir()):
        raise RecordError(f"{folder} is not empty", "name a folder that does not exist yet")
    for path, text in sorted(files.items()):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{place}\n")


COMMANDS = (refresh_command, init_command)
