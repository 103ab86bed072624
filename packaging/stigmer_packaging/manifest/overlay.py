"""The section `reference`: what is different in the manifest when the reference services are built.

It is applied to the document before that is read, so that everything after sees one manifest.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stigmer_packaging.manifest.section import Finding, Path, unknown

KEY = "reference"
_REPLACED = ("smoke",)
_NAMED = ("targets", "components")
_MERGED = ("run",)
"""Within a target or a component each key is replaced whole, but for these, whose keys are replaced one by one."""


def apply_overlay(document: Any) -> list[Finding]:
    """Replace in a parsed document what its section `reference` gives, and give what is wrong with the section.

    What is wrong with the values themselves is found when the document is read.
    """
    overlay = document[KEY]
    if not isinstance(overlay, Mapping):
        return [Finding((KEY,), "must be a mapping of keys to values")]
    findings: list[Finding] = []
    for key, value in overlay.items():
        if key in _REPLACED:
            _replace(document, overlay, key)
        elif key in _NAMED:
            findings += _override_named(key.removesuffix("s"), _by_name(document.get(key)), value, (KEY, key))
        else:
            findings.append(Finding((KEY, key), unknown("key", str(key), (*_REPLACED, *_NAMED))))
    return findings


def _by_name(entries: Any) -> Mapping[str, Any]:
    """Give the entries of a section by their names; nothing of one that is not as it must be."""
    if isinstance(entries, Mapping):
        return {name: entry for name, entry in entries.items() if isinstance(entry, Mapping)}
    listed: Iterable[Any] = entries if isinstance(entries, list) else ()
    return {entry["name"]: entry for entry in listed if isinstance(entry, Mapping) and "name" in entry}


def _override_named(what: str, entries: Mapping[str, Any], overlay: Any, path: Path) -> list[Finding]:
    if not isinstance(overlay, Mapping):
        return [Finding(path, "must be a mapping of keys to values")]
    findings: list[Finding] = []
    for name, values in overlay.items():
        if name not in entries:
            findings.append(Finding((*path, name), unknown(what, str(name), entries)))
        elif not isinstance(values, Mapping):
            findings.append(Finding((*path, name), "must be a mapping of keys to values"))
        else:
            _override_keys(entries[name], values)
    return findings


def _override_keys(section: Any, overlay: Any) -> None:
    for key in overlay:
        both = (section.get(key), overlay[key])
        if key in _MERGED and all(isinstance(each, Mapping) for each in both):
            _override_keys(*both)
        else:
            _replace(section, overlay, key)


def _replace(section: Any, overlay: Any, key: str) -> None:
    """Take a value over together with its place in the file, which problems are told with."""
    section[key] = overlay[key]
    places = {each: place for each, place in (overlay.lc.data or {}).items() if each == key}  # none of a merged key
    section.lc.data = {**(section.lc.data or {}), **places}
