"""The section `reference`: overrides of the manifest for building the reference services.

It is applied to the parsed document before that is converted to records, so later code sees a single manifest.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stigmer_packaging.manifest.section import Finding, Section
from stigmer_packaging.manifest.values import one_of

KEY = "reference"


def apply_overlay(document: Any) -> list[Finding]:
    """Apply the section `reference` to a parsed document in place, and return the problems of the section.

    Problems of the values themselves are found when the document is read.
    """
    findings: list[Finding] = []
    with Section(document[KEY], (KEY,), findings) as overlay:
        if overlay.has("smoke"):
            _replace(document, document[KEY], "smoke")
        for key in ("targets", "components"):
            if overlay.has(key):
                _override_named(key.removesuffix("s"), _by_name(document.get(key)), overlay.section(key))
    return findings


def _by_name(entries: Any) -> Mapping[str, Any]:
    """Return the entries of a section by name, without malformed ones."""
    if isinstance(entries, Mapping):
        return {name: entry for name, entry in entries.items() if isinstance(entry, Mapping) and isinstance(name, str)}
    listed: Iterable[Any] = entries if isinstance(entries, list) else ()
    return {
        entry["name"]: entry for entry in listed if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
    }


def _override_named(kind: str, entries: Mapping[str, Any], overlay: Section) -> None:
    for name in filter(None, overlay.keys(one_of(kind, *entries))):
        overlay.section(name)  # a finding unless it is a mapping
        if isinstance(overlay.peek(name), Mapping):
            _override_keys(entries[name], overlay.peek(name))


def _override_keys(section: Any, overlay: Any) -> None:
    """Replace each key as a whole, except `run`, whose keys are replaced one by one."""
    for key in overlay:
        both = (section.get(key), overlay[key])
        if key == "run" and all(isinstance(each, Mapping) for each in both):
            _override_keys(*both)
        else:
            _replace(section, overlay, key)


def _replace(section: Any, overlay: Any, key: str) -> None:
    """Copy a value together with its position in the file, which error messages need."""
    section[key] = overlay[key]
    places = {each: place for each, place in (overlay.lc.data or {}).items() if each == key}  # a merged key has none
    section.lc.data = {**(section.lc.data or {}), **places}
