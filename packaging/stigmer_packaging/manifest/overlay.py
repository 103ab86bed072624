"""The section `reference`: what is different in the manifest when the reference services are built.

It is applied to the document before that is read, so that everything after sees one manifest.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stigmer_packaging.manifest.section import Finding, Section
from stigmer_packaging.manifest.values import one_of

KEY = "reference"


def apply_overlay(document: Any) -> list[Finding]:
    """Replace in a parsed document what its section `reference` gives, and give what is wrong with the section.

    What is wrong with the values themselves is found when the document is read.
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
    """Give the entries of a section by their names; nothing of one that is not as it must be."""
    if isinstance(entries, Mapping):
        return {name: entry for name, entry in entries.items() if isinstance(entry, Mapping) and isinstance(name, str)}
    listed: Iterable[Any] = entries if isinstance(entries, list) else ()
    return {
        entry["name"]: entry for entry in listed if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
    }


def _override_named(what: str, entries: Mapping[str, Any], overlay: Section) -> None:
    for name in filter(None, overlay.keys(one_of(what, *entries))):
        overlay.section(name)  # a finding unless it is a mapping
        if isinstance(overlay.peek(name), Mapping):
            _override_keys(entries[name], overlay.peek(name))


def _override_keys(section: Any, overlay: Any) -> None:
    """Replace each key whole, but for `run`, whose keys are replaced one by one."""
    for key in overlay:
        both = (section.get(key), overlay[key])
        if key == "run" and all(isinstance(each, Mapping) for each in both):
            _override_keys(*both)
        else:
            _replace(section, overlay, key)


def _replace(section: Any, overlay: Any, key: str) -> None:
    """Take a value over together with its place in the file, which problems are told with."""
    section[key] = overlay[key]
    places = {each: place for each, place in (overlay.lc.data or {}).items() if each == key}  # none of a merged key
    section.lc.data = {**(section.lc.data or {}), **places}
