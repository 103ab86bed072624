"""Licences of Python distributions, from their metadata, and of the software compiled into their wheels."""

import json
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from stigmer_packaging.licensing.licences import Credit, determine_licence, is_licence_file, purl_of, read_text

FREEZERS = {
    "pyinstaller": "GPL-2.0-or-later WITH Bootloader-exception",
    "pyinstaller-hooks-contrib": "Apache-2.0",
}
"""What PyInstaller adds to a frozen program: its bootloader and hooks. Source: both projects' COPYING and LICENSE."""

_KNOWN = {"openssl": ("Apache-2.0",)}
"""The licences of software that wheels compile in and list without a licence."""


def credit_python(site: Path, names: Collection[str]) -> tuple[Credit, ...]:
    """Return the credits of distributions in a site-packages directory: those in `names` (canonical) and FREEZERS.

    The crates and libraries that a wheel lists as compiled into it (PEP 770) are included, without their texts.
    """
    found = [entry for entry in metadata.distributions(path=[str(site)]) if _name(entry) in {*names, *FREEZERS}]
    return tuple(credit for entry in found for credit in (_credit(entry), *_compiled_in(entry)))


def _name(entry: metadata.Distribution) -> str:
    return canonicalize_name(entry.metadata["Name"])


def _credit(entry: metadata.Distribution) -> Credit:
    name, version = _name(entry), entry.version
    texts = tuple(read_text(Path(str(file.locate())).read_bytes()) for file in _licence_files(entry))
    licence = FREEZERS.get(name) or determine_licence(_declared(entry), texts)
    return Credit(name, version, licence, purl_of("pypi", name, version), texts)


def _licence_files(entry: metadata.Distribution) -> list[metadata.PackagePath]:
    own = [file for file in entry.files or () if file.parts[0].endswith(".dist-info")]
    return sorted(file for file in own if "licenses" in file.parts[1:-1] or is_licence_file(file.name))


def _declared(entry: metadata.Distribution) -> Iterator[str]:
    """Yield the licence declarations of a distribution, the most precise one first."""
    fields = entry.metadata
    yield from (value for field in ("License-Expression", "License") for value in fields.get_all(field) or [])
    classified = [value.split("::")[-1] for value in fields.get_all("Classifier") or [] if value.startswith("License")]
    if len(classified) == 1:
        yield from classified


def _compiled_in(entry: metadata.Distribution) -> Iterator[Credit]:
    own = purl_of("pypi", _name(entry), entry.version)
    for file in entry.files or ():
        if "sboms" in file.parts[1:-1] and file.name.endswith(".json"):
            sbom = json.loads(Path(str(file.locate())).read_text(encoding="utf-8"))
            for part in sbom.get("components", ()):
                qualified = str(part.get("purl", ""))
                purl = qualified.partition("?")[0]
                # Skip directories of the distribution's own source, and the wheel itself, which auditwheel lists too.
                if "file:" not in qualified and purl not in {"", own}:
                    licence = determine_licence([*_component_licences(part), *_KNOWN.get(part["name"], ())], ())
                    yield Credit(part["name"], part["version"], licence, purl)


def _component_licences(part: Mapping[str, Any]) -> list[str]:
    """Return the licence of a component. Source: CycloneDX, `licenses` as an expression or as single licences."""
    licences = part.get("licenses", [])
    expressions = [str(each["expression"]) for each in licences if "expression" in each]
    single = [each["license"] for each in licences if isinstance(each.get("license"), dict)]
    return expressions or [" AND ".join(str(one.get("id") or one.get("name")) for one in single)]
