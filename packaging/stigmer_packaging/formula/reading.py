"""Parses the formula in a tap: its version and its downloads. Ours are parsed completely, others as far as possible."""

import re
from dataclasses import dataclass

from stigmer_packaging.manifest.naming import bottle_name

_LITERAL = r'"((?:[^"\\]|\\.)*)"'


@dataclass(frozen=True)
class Download:
    """A file that a formula names, and the sha256 that brew expects."""

    url: str
    sha256: str


@dataclass(frozen=True)
class FormulaFacts:
    """The content of a formula; `bottles` are pairs of tag and sha256; `smoke` is whether its test makes the call."""

    version: str
    url: str
    sha256: str
    root_url: str
    rebuild: int
    bottles: tuple[tuple[str, str], ...]
    smoke: bool = True

    def downloads(self, name: str) -> tuple[Download, ...]:
        """Return all files that brew may fetch for the formula `name`: the bottles in their order, then the source."""
        files = [
            Download(f"{self.root_url}/{bottle_name(name, self.version, tag, self.rebuild)}", sha256)
            for tag, sha256 in self.bottles
        ]
        return (*files, Download(self.url, self.sha256))


def parse_formula(text: str) -> FormulaFacts | None:
    """Parse a formula's text; None if it lacks a version, a url or a sha256."""
    before, block, after = _around_bottles(text)
    outside = before + after
    url, sha256 = _value(outside, "url"), _value(outside, "sha256")
    version = _value(outside, "version") or _first(r"/releases/download/v([^/]+)/", url)
    if not version or not url or not sha256:
        return None
    rebuild = int(_first(r"^\s*rebuild (\d+)", block) or 0)
    bottles = re.findall(rf"^\s*sha256 .*?(\w+):\s+{_LITERAL}\s*$", block, re.MULTILINE)
    root_url = _value(block, "root_url") or url.rpartition("/")[0]
    smoke = re.search(r'^\s*system command, "smoke"$', text, re.MULTILINE) is not None
    return FormulaFacts(version, url, sha256, root_url, rebuild, tuple(bottles), smoke)


def _around_bottles(text: str) -> tuple[str, str, str]:
    found = re.search(r"^  bottle do\n(.*?)^  end\n", text, re.MULTILINE | re.DOTALL)
    return (text[: found.start()], found[1], text[found.end() :]) if found else (text, "", "")


def _value(text: str, key: str) -> str:
    return _first(rf"^\s*{key} {_LITERAL}", text)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else ""
