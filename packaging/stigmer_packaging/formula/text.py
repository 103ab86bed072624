"""The formula's text: a template of readable Ruby, filled with escaped values."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from stigmer_packaging.formula.license import license_argument
from stigmer_packaging.formula.receipt import tap_name
from stigmer_packaging.formula.ruby import quote, quote_words
from stigmer_packaging.manifest.bottle_tags import listing_order, plan_requirements
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import formula_class_name, release_root, service_names, source_archive_name
from stigmer_packaging.manifest.rename import rename_words

_SMOKE_CALL = 'system command, "smoke"'
_NO_SMOKE_CALL = 'puts "no smoke call in this stack: readiness proofs only"'
_TEMPLATE = Path(__file__).parent / "templates" / "formula.rb.template"


def render_formula(
    manifest: Manifest, source_sha256: str, bottles: Sequence[tuple[str, str]] = (), *, smoke: bool | None = None
) -> str:
    """Return the formula's text, with a bottle block for the pairs of tag and sha256, or without one if there are none.

    `source_sha256` is that of the source archive; `smoke` is whether the formula's test makes a smoke call, by default
    as in the manifest.
    """
    product, runs = manifest.product, [component.run for component in manifest.components]
    ordered = sorted(bottles, key=lambda pair: listing_order(pair[0]))
    names, root = service_names(product.name), release_root(product.repository, product.version)
    calls = manifest.smoke.kind != "none" if smoke is None else smoke
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        class_name=formula_class_name(product.name),
        name=product.name,
        command=quote(product.name),
        home_variable=quote(rename_words("STIGMER_HOME", product.name)),
        macos_service=quote(names.macos),
        linux_service=quote(names.linux),
        full_name=f"{tap_name(product)}/{product.name}",
        description=quote(product.description),
        homepage=quote(product.homepage),
        url=quote(f"{root}/{source_archive_name(product.name, product.version)}"),
        sha256=quote(source_sha256),
        license=license_argument(product.license),
        bottle=_paragraph(_bottle_block(root, ordered, product.rebuild)),
        platforms=_paragraph(plan_requirements(tuple(tag for tag, _ in ordered))),
        ports=quote_words(tuple(name for run in runs for name in run.ports)),
        smoke=_SMOKE_CALL if calls else _NO_SMOKE_CALL,
        check_command="smoke" if calls else "server status",
        services=quote_words(tuple(component.name for component in manifest.components)),
    )


def _bottle_block(root_url: str, bottles: Sequence[tuple[str, str]], rebuild: int) -> list[str]:
    if not bottles:
        return []
    width = max(len(tag) for tag, _ in bottles) + 1
    digests = [f"  sha256 cellar: :any_skip_relocation, {tag + ':':{width}} {quote(sha256)}" for tag, sha256 in bottles]
    numbered = [f"  rebuild {rebuild}"] if rebuild else []
    return ["bottle do", f"  root_url {quote(root_url)}", *numbered, *digests, "end"]


def _paragraph(lines: Sequence[str]) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in lines) + ("\n" if lines else "")
