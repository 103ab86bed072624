"""The formula as text: a template of readable Ruby, filled with values that cannot become code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from stigmer_packaging.formula.license import license_argument
from stigmer_packaging.formula.receipt import tap_name
from stigmer_packaging.formula.ruby import quote, quote_words
from stigmer_packaging.manifest.bottle_tags import listing_order, plan_requirements
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.naming import formula_class, release_root, service_names, source_archive_name

_SMOKE_CALL = 'system command, "smoke"'
_NO_SMOKE_CALL = 'puts "no smoke call in this stack: readiness proofs only"'
_TEMPLATE = Path(__file__).parent / "templates" / "formula.rb.template"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FormulaValues:
    """What a formula says besides its bottles. `url` is the source archive's; bottles are found below `root_url`.

    `tap` is the tap's name as users type it, `owner/name`.

    `services` are the components the test block expects to run, `ports` the launcher's names of ports; `smoke` says
    whether there is a call to make besides.
    """

    name: str
    description: str
    homepage: str
    license: str
    url: str
    sha256: str
    root_url: str
    services: tuple[str, ...]
    ports: tuple[str, ...]
    tap: str
    smoke: bool = True


def formula_values(manifest: Manifest, source_sha256: str) -> FormulaValues:
    """Take from the manifest what the formula says; `source_sha256` is the source archive's."""
    product = manifest.product
    root = release_root(product.repository, product.version)
    return FormulaValues(
        name=product.name,
        description=product.description,
        homepage=product.homepage,
        license=product.license,
        url=f"{root}/{source_archive_name(product.name, product.version)}",
        sha256=source_sha256,
        root_url=root,
        services=tuple(component.name for component in manifest.components),
        ports=tuple(name for component in manifest.components for name in component.run.ports),
        tap=tap_name(product),
        smoke=manifest.smoke.kind != "none",
    )


def render_formula(values: FormulaValues, bottles: Sequence[tuple[str, str]] = (), rebuild: int = 0) -> str:
    """Give the formula's text with a bottle block for the given pairs of tag and sha256; without pairs, without block.

    Raise ValueError for a name no formula can have, a licence that is no SPDX expression, and a digest that is no sha256.
    """
    if not _NAME.fullmatch(values.name):
        raise ValueError(f"{values.name!r} cannot name a formula")
    ordered = sorted(bottles, key=lambda pair: listing_order(pair[0]))
    requirements = plan_requirements(tuple(tag for tag, _ in ordered))
    names = service_names(values.name)
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        class_name=formula_class(values.name),
        name=values.name,
        command=quote(values.name),
        macos_service=quote(names.macos),
        linux_service=quote(names.linux),
        full_name=f"{values.tap}/{values.name}",
        description=quote(values.description),
        homepage=quote(values.homepage),
        url=quote(values.url),
        sha256=quote(_checked(values.sha256)),
        license=license_argument(values.license),
        bottle=_paragraph(_bottle_block(values.root_url, ordered, rebuild)),
        platforms=_paragraph(requirements),
        ports=quote_words(values.ports),
        smoke=_SMOKE_CALL if values.smoke else _NO_SMOKE_CALL,
        look="smoke" if values.smoke else "server status",
        services=quote_words(values.services),
    )


def _bottle_block(root_url: str, bottles: Sequence[tuple[str, str]], rebuild: int) -> list[str]:
    if not bottles:
        return []
    width = max(len(tag) for tag, _ in bottles) + 1
    digests = [
        f"  sha256 cellar: :any_skip_relocation, {tag + ':':{width}} {quote(_checked(sha256))}"
        for tag, sha256 in bottles
    ]
    numbered = [f"  rebuild {rebuild}"] if rebuild else []
    return ["bottle do", f"  root_url {quote(root_url)}", *numbered, *digests, "end"]


def _paragraph(lines: Sequence[str]) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in lines) + ("\n" if lines else "")


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"{sha256!r} is not a sha256")
    return sha256
