"""CHANGELOG.md: what it says of one version. Source of its form: Keep a Changelog."""

import re


def section_of(text: str, version: str) -> str:
    """Give what stands under a version's heading, such as `## 2.0.0 - 2026-11-22`; empty when there is nothing."""
    heading = rf"^## +\[?v?{re.escape(version)}\]?(?: [^\n]*)?$"
    found = re.search(rf"{heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""
