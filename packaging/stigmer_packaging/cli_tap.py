"""The command `tap-refresh`: the committed formula as the template gives it today, for the bottles it names."""

import sys
from pathlib import Path

import click

from stigmer_packaging.manifest import load_manifest
from stigmer_packaging.tap_formula import refresh_formula


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
