"""The files of a tap as text, from their templates and the manifest: all of a new one's, or its formula anew."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from stigmer_packaging.formula.reading import FormulaFacts, parse_formula
from stigmer_packaging.formula.receipt import tap_name
from stigmer_packaging.formula.text import render_formula
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.bottle_tags import parse_tag
from stigmer_packaging.manifest.model import Manifest

FILES: Mapping[str, str] = {
    "README.md": "README.md",
    ".github/workflows/tests.yml": "tests.yml",
    ".github/dependabot.yml": "dependabot.yml",
}
"""Where each template of packaging/tap belongs in a tap. Source: what `brew tap-new` makes, less its `brew pr-pull`.

Bottles of ours are built and published by the release, not by a pull request on the tap.
"""

_SYSTEMS = {"macos": "macOS", "linux": "Linux"}

RUNNERS = {
    "darwin-arm64": "macos-15",
    "darwin-amd64": "macos-15-intel",
    "linux-arm64": "ubuntu-24.04-arm",
    "linux-amd64": "ubuntu-24.04",
}
"""The hosted machine for each target. Source: the labels of actions/runner-images, 2026-11."""


class _Text(Template):
    """A template whose variables are `@{name}`: GitHub's own begin with a dollar."""

    delimiter = "@"


def render_tap(manifest: Manifest, formula: str, licence: str, packaging: Path) -> dict[str, str]:
    """Give each file of a tap that is kept apart from this repository, by its path; `packaging` is the folder of that name in our checkout.

    RecordError when the formula names no bottle, or is none.
    """
    facts = parse_formula(formula)
    if facts is None or not facts.bottles:
        raise RecordError("the formula names no bottles: there is nothing a tap could offer")
    values = _values(manifest, facts)
    texts = {
        path: _Text((packaging / "tap" / name).read_text(encoding="utf-8")).substitute(values)
        for path, name in FILES.items()
    }
    return {**texts, "LICENSE": licence, f"Formula/{manifest.product.name}.rb": formula}


def refresh_formula(text: str, manifest: Manifest) -> str:
    """Give what the template makes today of the source and the bottles that a formula names.

    RecordError when it is none of ours, or of another release than the manifest's.
    """
    facts = parse_formula(text)
    wanted = (manifest.product.version, manifest.product.rebuild)
    if facts is None or (facts.version, facts.rebuild) != wanted:
        named = "nothing we can read" if facts is None else f"{facts.version} rebuild {facts.rebuild}"
        raise RecordError(f"the formula names {named}, and the manifest is at {wanted[0]} rebuild {wanted[1]}")
    # the bottles say which stack it is
    return render_formula(manifest, facts.sha256, facts.bottles, smoke=facts.smoke)


def _values(manifest: Manifest, facts: FormulaFacts) -> dict[str, str]:
    product, tap = manifest.product, tap_name(manifest.product)
    tags = [tag for tag, _ in facts.bottles]
    return {
        "name": product.name,
        "description": product.description,
        "repository": product.repository,
        "tap": tap,
        "formula": f"{tap}/{product.name}",
        "platforms": ", ".join(_platform(tag) for tag in tags),
        "fetches": "\n          ".join(_fetches(f"{tap}/{product.name}", tags)),
        "runners": ", ".join(dict.fromkeys(RUNNERS[str(parse_tag(tag).target)] for tag in tags)),
    }


def _fetches(formula: str, tags: list[str]) -> list[str]:
    """List commands that fetch every bottle, after one that sees them named: a fetch of one that is not ends with 0."""
    names = "jq --raw-output '.formulae[0].bottle.stable.files | keys | join(\" \")'"
    named = f'test "$(brew info --json=v2 {formula} | {names})" = "{" ".join(sorted(tags))}"'
    return [named, *(f"brew fetch --force --bottle-tag={tag} {formula}" for tag in tags)]


def _platform(tag: str) -> str:
    platform = parse_tag(tag)
    newer = f" from {platform.release.replace('_', ' ').title()} on" if platform.release else ""
    return f"{_SYSTEMS[platform.system]}{newer} ({platform.architecture})"
