"""The manifest of this repository as text, and ways to spoil it."""

from pathlib import Path

import pytest

from stigmer_packaging.errors import ManifestError
from stigmer_packaging.manifest import parse_manifest

PATH = Path(__file__).parents[2] / "packaging" / "manifest.yaml"


def text_with(*replacements: tuple[str, str]) -> str:
    """Give the repository's manifest with each `old` replaced once by `new`; an `old` that is not there is a mistake."""
    text = PATH.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text, f"the manifest no longer holds {old!r}"
        text = text.replace(old, new, 1)
    return text


def problems_of(*replacements: tuple[str, str]) -> list[str]:
    """Give the problems found in the manifest spoiled this way."""
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text_with(*replacements))
    return list(caught.value.problems)
