"""The licences of Python distributions, from their metadata, and of what their wheels say is compiled into them."""

import json
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from stigmer_packaging.licensing.licences import Credit, conclude, is_licence_file, purl_of, read_text

FREEZERS = {
    "pyinstaller": "GPL-2.0-or-later WITH Bootloader-exception",
    "pyinstaller-hooks-contrib": "Apache-2.0",
}
"""What PyInstaller leaves in a frozen program: its bootloader, and hooks. Source: both projects' COPYING and LICENSE."""

_KNOWN = {"openssl": ("Apache-2.0",)}
"""What wheels compile in and name without its licence."""


def credit_python(site: Path, names: Collection[str]) -> tuple[Credit, ...]:
    """Name the distributions of a site-packages directory, those of `names` (canonical) and what the freezer adds.

    A wheel may list the crates and libraries compiled into it (PEP 770); they are named too, without their texts.
    """
    found = [entry for entry in metadata.distributions(path=[str(site)]) if _name(entry) in {*names, *FREEZERS}]
    return tuple(credit for entry in found for credit in (_credit(entry), *_inside(entry)))


def _name(entry: metadata.Distribution) -> str:
    return canonicalize_name(entry.metadata["Name"])


def _credit(entry: metadata.Distribution) -> Credit:
    name, version = _name(entry), entry.version
    texts = tuple(read_text(Path(str(file.locate())).read_bytes()) for file in _licence_files(entry))
    licence = FREEZERS.get(name) or conclude(_declared(entry), texts)
    return Credit(name, version, licence, purl_of("pypi", name, version), texts)


def _licence_files(entry: metadata.Distribution) -> list[metadata.PackagePath]:
    own = [file for file in entry.files or () if file.parts[0].endswith(".dist-info")]
    return sorted(file for file in own if "licenses" in file.parts[1:-1] or is_licence_file(file.name))


def _declared(entry: metadata.Distribution) -> Iterator[str]:
    """Give what a distribution says of its licence, the most exact word first."""
    said = entry.metadata
    yield from (value for field in ("License-Expression", "License") for value in said.get_all(field) or [])
    named = [value.split("::")[-1] for value in said.get_all("Classifier") or [] if value.startswith("License")]
    if len(named) == 1:
        yield from named


def _inside(entry: metadata.Distribution) -> Iterator[Credit]:
    own = purl_of("pypi", _name(entry), entry.version)
    for file in entry.files or ():
        if "sboms" in file.parts[1:-1] and file.name.endswith(".json"):
            listed = json.loads(Path(str(file.locate())).read_text(encoding="utf-8"))
            for part in listed.get("components", ()):
                whole = str(part.get("purl", ""))
                purl = whole.partition("?")[0]
                # A folder of the distribution's own source has no name outside; auditwheel lists the wheel itself, too.
                if "file:" not in whole and purl not in {"", own}:
                    licence = conclude([*_said(part), *_KNOWN.get(part["name"], ())], ())
                    yield Credit(part["name"], part["version"], licence, purl)


def _said(part: Mapping[str, Any]) -> list[str]:
    """Give the licence of a component. Source: CycloneDX, `licenses` as an expression or as single ones."""
    stated = part.get("licenses", [])
    whole = [str(each["expression"]) for each in stated if "expression" in each]
    single = [each["license"] for each in stated if isinstance(each.get("license"), dict)]
    return whole or [" AND ".join(str(one.get("id") or one.get("name")) for one in single)]
