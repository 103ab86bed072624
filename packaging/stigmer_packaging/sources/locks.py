"""Lock files in pip's requirements format: every distribution pinned by version, with the hashes of its files."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from stigmer_packaging.lib.errors import GateError, refuse

REMEDY = "lock again with hashes, such as: uv pip compile --generate-hashes pyproject.toml -o requirements.lock"
_COMMENT = re.compile(r"(^|\s+)#.*$")
_INDEX = re.compile(r"(-i|--index-url|--extra-index-url|--trusted-host)(\s|=|$)")


@dataclass(frozen=True)
class Pin:
    """One distribution: its canonical name, its version, the marker that says where it is wanted, and its files' hashes.

    `groups` are the dependency groups that a marker of pylock.toml may ask for. `source_only` says that the lock has no
    wheel of it.
    """

    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]
    groups: frozenset[str] = frozenset()
    source_only: bool = False

    @property
    def requirement(self) -> str:
        """The pin in pip's format, without its marker."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={one}" for one in self.hashes)])

    def applies(self, markers: Mapping[str, str]) -> bool:
        """Tell whether a Python with these marker values gets it."""
        return self.marker is None or applies(self.marker, markers, self.groups)


def applies(marker: Marker, markers: Mapping[str, Any], groups: frozenset[str]) -> bool:
    """Tell whether a lock's marker holds for a Python with these marker values, dependency groups, and no extra."""
    values: dict[str, Any] = {"extra": "", **markers, "extras": frozenset(), "dependency_groups": groups}
    return marker.evaluate(values, context="lock_file")


def parse_lock(text: str) -> tuple[Pin, ...]:
    """Read a lock; GateError with every line that is not pinned exactly or has no hash.

    Options that name an index are passed over: by its hash, a file is the same wherever it comes from.
    """
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = (_COMMENT.sub("", line).strip() for line in joined.splitlines())
    parsed = [(line, _parse_line(line)) for line in lines if line and not _INDEX.match(line)]
    problems = (line for line, pin in parsed if not pin)
    refuse(GateError, "the lock pins these not exactly, or without a hash", problems, REMEDY)
    return tuple(pin for _, pin in parsed if pin)


def select_pins(pins: Iterable[Pin], names: Collection[str], *, without: Collection[str] = ()) -> tuple[Pin, ...]:
    """Give the pins of these names, less those of `without`."""
    return tuple(pin for pin in pins if pin.name in names and pin.name not in without)


def render_requirements(pins: Iterable[Pin]) -> str:
    """Give what pip is to install of pins that all apply."""
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
