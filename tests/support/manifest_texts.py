"""The manifest of this repository as text, and modifications of it."""

from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import ManifestError
from stigmer_packaging.manifest.reader import parse_manifest

PATH = Path(__file__).parents[2] / "packaging" / "manifest.yaml"


def text_with(*replacements: tuple[str, str]) -> str:
    """Return the repository's manifest with each `old` replaced once by `new`; fail if an `old` is missing."""
    text = PATH.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text, f"the manifest no longer contains {old!r}"
        text = text.replace(old, new, 1)
    return text


def problems_of(*replacements: tuple[str, str]) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text_with(*replacements))
    return list(caught.value.problems)


def text_with_artifact(url: str, sha256: str) -> str:
    """Return the manifest with Temporal as a prebuilt file, the same for every target."""
    wheel = text_with().split("    source:\n", 1)[1].split("    run:\n", 1)[0]
    targets = ("darwin-arm64", "darwin-amd64", "linux-arm64", "linux-amd64")
    files = "".join(f"        {target}: {{url: '{url}', sha256: {sha256}}}\n" for target in targets)
    return text_with((wheel, f"      kind: artifact\n      files:\n{files}"))
