"""The software bill of materials, in SPDX 2.3 as JSON. Source: the SPDX specification, version 2.3."""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urldefrag

from stigmer_packaging.licensing.licences import NOASSERTION, purl_of
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.manifest.naming import NOTICES
from stigmer_packaging.records.model import Credits, Ingredient

_PURL = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl"}


def render_sbom(product: Product, target: str, credited: Sequence[Credits], *, source_date_epoch: int) -> str:
    """Render the SBOM of a keg, its parts, and the ingredients of each part; equal credits give equal texts."""
    own = _own_package(product.name, product.version, product.license)
    packages, relations = [own], [_relation("SPDXRef-DOCUMENT", "DESCRIBES", own["SPDXID"])]
    for credit in credited:
        part = _own_package(credit.part, credit.version, credit.licence)
        inside = [_package(ingredient) for ingredient in credit.ingredients]
        packages += [part, *inside]
        relations.append(_relation(own["SPDXID"], "CONTAINS", part["SPDXID"]))
        relations += [_relation(part["SPDXID"], "CONTAINS", package["SPDXID"]) for package in inside]
    unique = {package["SPDXID"]: package for package in packages}
    described = [unique[name] for name in sorted(unique)]
    name = f"{product.name}-{product.version}-{target}"
    content = hashlib.sha256(json.dumps([described, relations]).encode()).hexdigest()
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"{urldefrag(product.homepage).url.rstrip('/')}/spdx/{name}-{content[:32]}",
        "creationInfo": {
            "created": datetime.fromtimestamp(source_date_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Organization: {product.name}", f"Tool: stigmer-packaging-{product.version}"],
        },
        "packages": described,
        "relationships": relations,
        "hasExtractedLicensingInfos": _unlisted_licences(described),
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _own_package(name: str, version: str, licence: str) -> dict[str, Any]:
    return _package(Ingredient(name, version, licence, purl_of("generic", name, version)))


def _package(ingredient: Ingredient) -> dict[str, Any]:
    described = {
        "SPDXID": _identity(ingredient.purl),
        "name": ingredient.name,
        "versionInfo": ingredient.version,
        "downloadLocation": NOASSERTION,
        "filesAnalyzed": False,
        "licenseConcluded": NOASSERTION,
        "licenseDeclared": ingredient.licence,
        "copyrightText": NOASSERTION,
        "externalRefs": [{**_PURL, "referenceLocator": ingredient.purl}],
    }
    return {name: value for name, value in described.items() if value != ""}


def _identity(purl: str) -> str:
    """Return a package's SPDX identifier: a readable form of its package URL, and a hash that makes it unique."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", purl.removeprefix("pkg:")).strip("-")
    return f"SPDXRef-{readable}-{hashlib.sha256(purl.encode()).hexdigest()[:8]}"


def _relation(of: str, kind: str, to: str) -> dict[str, str]:
    return {"spdxElementId": of, "relationshipType": kind, "relatedSpdxElement": to}


def _unlisted_licences(packages: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Describe the licences that are not on the SPDX list."""
    stated = (package["licenseDeclared"] for package in packages)
    names = sorted({name for licence in stated for name in re.findall(r"LicenseRef-[\w.-]+", licence)})
    return [{"licenseId": name, "extractedText": f"see {NOTICES}"} for name in names]
