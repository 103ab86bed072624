"""Write the formula for the bottles that were made."""

from collections.abc import Sequence

from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.records.model import ReleaseFile
from stigmer_packaging.records.workspace import Workspace


def write_formula(
    manifest: Manifest,
    source: ReleaseFile,
    bottles: Sequence[ReleaseFile],
    *,
    workspace: Workspace,
) -> ReleaseFile:
    """Write `dist/Formula/NAME.rb` with the given bottles, which must be of the manifest's version and of one rebuild.

    Raise RecordError when they are not, or when there is none.
    """
    product = manifest.product
    made = {(bottle.name, bottle.version, bottle.rebuild) for bottle in bottles}
    if len(made) != 1 or {pair[:2] for pair in made} != {(product.name, product.version)}:
        found = ", ".join(f"{name} {version} rebuild {rebuild}" for name, version, rebuild in sorted(made)) or "none"
        raise RecordError(f"the formula needs bottles of {product.name} {product.version} and of one rebuild: {found}")
    named = tuple((bottle.tag, bottle.sha256) for bottle in bottles)
    text = render_formula(manifest, source.sha256, named, bottles[0].rebuild)
    with workspace.staging() as staged:
        (staged / "formula").write_text(text, encoding="utf-8")
        facts = {"name": product.name, "version": product.version, "path": f"dist/Formula/{product.name}.rb"}
        return workspace.add_file(staged / "formula", "formula", kind="formula", **facts)
