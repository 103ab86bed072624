"""Renders the files of a tap from their templates and the manifest: all files of a new tap, or only its formula."""

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
"""The path in a tap for each template in packaging/tap. Source: the output of `brew tap-new`, without `brew pr-pull`.

Our bottles are built and published by the release, not by a pull request on the tap.
"""

_SYSTEMS = {"macos": "macOS", "linux": "Linux"}

RUNNERS = {
    "darwin-arm64": "macos-15",
    "darwin-amd64": "macos-15-intel",
    "linux-arm64": "ubuntu-24.04-arm",
    "linux-amd64": "ubuntu-24.04",
}
"""The hosted runner for each target. Source: the labels of actions/runner-images, 2026-11."""


class _Text(Template):
    """A template with variables `@{name}`, because those of GitHub Actions begin with a dollar sign."""

    delimiter = "@"


def render_tap(manifest: Manifest, formula: str, licence: str, packaging: Path) -> dict[str, str]:
    """Return the text of each file of a tap by its path; `packaging` is the folder of that name in our checkout.

    RecordError if the formula cannot be read or has no bottles.
    """
    facts = parse_formula(formula)
    if facts is None or not facts.bottles:
        raise RecordError("the formula names no bottles, so a tap would have nothing to offer")
    values = _values(manifest, facts)
    texts = {
        path: _Text((packaging / "tap" / name).read_text(encoding="utf-8")).substitute(values)
        for path, name in FILES.items()
    }
    return {**texts, "LICENSE": licence, f"Formula/{manifest.product.name}.rb": formula}


def refresh_formula(text: str, manifest: Manifest) -> str:
    """Render the formula again with the current template, for the source and the bottles that its text names.

    RecordError if the text is not a formula of ours, or is of another release than the manifest's.
    """
    facts = parse_formula(text)
    wanted = (manifest.product.version, manifest.product.rebuild)
    if facts is None or (facts.version, facts.rebuild) != wanted:
        found = "an unreadable version" if facts is None else f"{facts.version} rebuild {facts.rebuild}"
        raise RecordError(f"the formula is at {found}, but the manifest is at {wanted[0]} rebuild {wanted[1]}")
    # the manifest describes several stacks, so only the formula tells whether its stack has a smoke call
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
    """Return commands that fetch every bottle, after a check of their tags: fetching an unlisted one exits with 0."""
    names = "jq --raw-output '.formulae[0].bottle.stable.files | keys | join(\" \")'"
    check = f'test "$(brew info --json=v2 {formula} | {names})" = "{" ".join(sorted(tags))}"'
    return [check, *(f"brew fetch --force --bottle-tag={tag} {formula}" for tag in tags)]


def _platform(tag: str) -> str:
    platform = parse_tag(tag)
    newer = f" from {platform.release.replace('_', ' ').title()} on" if platform.release else ""
    return f"{_SYSTEMS[platform.system]}{newer} ({platform.architecture})"
