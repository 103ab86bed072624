"""Writes the formula for the bottles."""

from collections.abc import Sequence

from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.records.model import ReleaseFile
from stigmer_packaging.records.workspace import Workspace


def write_formula(
    manifest: Manifest, source: ReleaseFile, bottles: Sequence[ReleaseFile], *, workspace: Workspace
) -> ReleaseFile:
    """Write `dist/Formula/NAME.rb` with the given bottles."""
    product = manifest.product
    pairs = tuple((bottle.tag, bottle.sha256) for bottle in bottles)
    text = render_formula(manifest, source.sha256, pairs)
    with workspace.staging() as staging:
        (staging / "formula").write_text(text, encoding="utf-8")
        facts = {"name": product.name, "version": product.version, "path": f"dist/Formula/{product.name}.rb"}
        return workspace.add_file(staging / "formula", "formula", kind="formula", **facts)
