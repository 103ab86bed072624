"""The formula that a tap holds, written anew from manifest and template."""

from dataclasses import replace

from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.formula.text import formula_values, render_formula
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Manifest


def refresh_formula(text: str, manifest: Manifest) -> str:
    """Give what the template makes today of the source and the bottles that a formula names.

    RecordError when it is none of ours, or of another release than the manifest's.
    """
    facts = parse_formula(text)
    wanted = (manifest.product.version, manifest.product.rebuild)
    if facts is None or (facts.version, facts.rebuild) != wanted:
        named = "nothing we can read" if facts is None else f"{facts.version} rebuild {facts.rebuild}"
        raise RecordError(f"the formula names {named}, and the manifest is at {wanted[0]} rebuild {wanted[1]}")
    values = replace(formula_values(manifest, facts.sha256), smoke=facts.smoke)  # the bottles say which stack it is
    return render_formula(values, facts.bottles, facts.rebuild)
