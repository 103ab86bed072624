"""The formula that a tap holds, against what manifest and template say: it may be older than they are, never other."""

from dataclasses import replace

from packaging.version import InvalidVersion, Version

from stigmer_packaging.formula.reading import FormulaFacts, parse_formula
from stigmer_packaging.formula.text import formula_values, render_formula
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Manifest

MARK = "generated"
"""What the first line of a formula that nobody may edit by hand says."""


def find_staleness(text: str, manifest: Manifest) -> str:
    """Say why a committed formula is not the last one generated, or nothing when it is.

    Of the manifest's version it is exactly what the template gives for the source, bottles and smoke call it has: its
    digests are taken as they are, and nothing is built. One of an earlier release stands until the next one is published.
    """
    facts = parse_formula(text)
    if facts is None or MARK not in text.partition("\n")[0]:
        return (
            "it is not one of ours: its first line does not say that it is generated, or it names no version and source"
        )
    try:
        there, here = _release(facts), (Version(manifest.product.version), manifest.product.rebuild)
    except InvalidVersion as error:
        return f"its version is none: {error}"
    if there > here:
        return f"it names {facts.version} rebuild {facts.rebuild}, and the manifest is at {here[0]} rebuild {here[1]}"
    if there == here and text != _render(facts, manifest):
        return "it is not what the template gives for the bottles it names; run scripts/tap-refresh"
    return ""


def refresh_formula(text: str, manifest: Manifest) -> str:
    """Give what the template makes today of the source and the bottles that a formula names.

    RecordError when it is none of ours, or of another release than the manifest's.
    """
    facts = parse_formula(text)
    wanted = (manifest.product.version, manifest.product.rebuild)
    if facts is None or (facts.version, facts.rebuild) != wanted:
        named = "nothing we can read" if facts is None else f"{facts.version} rebuild {facts.rebuild}"
        raise RecordError(f"the formula names {named}, and the manifest is at {wanted[0]} rebuild {wanted[1]}")
    return _render(facts, manifest)


def _release(facts: FormulaFacts) -> tuple[Version, int]:
    return Version(facts.version), facts.rebuild


def _render(facts: FormulaFacts, manifest: Manifest) -> str:
    values = replace(formula_values(manifest, facts.sha256), smoke=facts.smoke)  # the bottles say which stack it is
    return render_formula(values, facts.bottles, facts.rebuild)
