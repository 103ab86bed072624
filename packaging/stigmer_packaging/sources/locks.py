"""Reads lock files in pip's requirements format: every distribution pinned by version and the hashes of its files."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from stigmer_packaging.lib.errors import GateError, raise_if_any

REMEDY = "lock again with hashes, such as: uv pip compile --generate-hashes pyproject.toml -o requirements.lock"
_COMMENT = re.compile(r"(^|\s+)#.*$")
_INDEX = re.compile(r"(-i|--index-url|--extra-index-url|--trusted-host)(\s|=|$)")


@dataclass(frozen=True)
class Pin:
    """One distribution: its canonical name, its version, the marker of its environments, and the hashes of its files.

    `groups` are the dependency groups with which a marker of pylock.toml is evaluated. `source_only` is set if the
    lock has no wheel of it.
    """

    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]
    groups: frozenset[str] = frozenset()
    source_only: bool = False

    @property
    def requirement(self) -> str:
        """The pin in pip's format, without the marker."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={one}" for one in self.hashes)])

    def applies(self, markers: Mapping[str, str]) -> bool:
        """Return whether a Python with these marker values needs it."""
        return self.marker is None or applies(self.marker, markers, self.groups)


def applies(marker: Marker, markers: Mapping[str, Any], groups: frozenset[str]) -> bool:
    """Return whether a lock's marker holds for a Python with these marker values and dependency groups, no extras."""
    values: dict[str, Any] = {"extra": "", **markers, "extras": frozenset(), "dependency_groups": groups}
    return marker.evaluate(values, context="lock_file")


def parse_lock(text: str) -> tuple[Pin, ...]:
    """Return the pins of a lock; GateError lists every line without an exact version or without a hash.

    Options that name an index are ignored: the hash identifies a file wherever it comes from.
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    parsed = [(line, _parse_line(line)) for line in lines if line and not _INDEX.match(line)]
    problems = (line for line, pin in parsed if not pin)
    raise_if_any(GateError, "the lock does not pin these exactly, with a hash", problems, REMEDY)
    return tuple(pin for _, pin in parsed if pin)


def select_pins(pins: Iterable[Pin], names: Collection[str], *, without: Collection[str] = ()) -> tuple[Pin, ...]:
    """Return the pins with these names, except those in `without`."""
    return tuple(pin for pin in pins if pin.name in names and pin.name not in without)


def render_requirements(pins: Iterable[Pin]) -> str:
    """Return pip's requirements file for pins that all apply."""
    return "".join(f"{pin.requirement}\n" for pin in pins)


def _parse_line(line: str) -> Pin | None:
    words, *hashes = re.split(r"\s+--hash=", line)
    try:
        requirement = Requirement(words)
    except InvalidRequirement:
        return None
    exact = re.fullmatch(r"==([^*,]+)", str(requirement.specifier))
    if not exact or not hashes:
        return None
    return Pin(canonicalize_name(requirement.name), exact[1], requirement.marker, tuple(hashes))
