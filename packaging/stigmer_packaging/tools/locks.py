"""Lock files in pip's requirements format: every distribution pinned by version, with the hashes of its files."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from stigmer_packaging.errors import GateError


@dataclass(frozen=True)
class Pin:
    """One distribution: its canonical name, its version, the marker that says where it is wanted, and the lock's text."""

    name: str
    version: str
    marker: Marker | None
    text: str

    def applies(self, markers: Mapping[str, str]) -> bool:
        """Tell whether a Python with these marker values gets it."""
        return self.marker is None or self.marker.evaluate(dict(markers))


def parse_lock(text: str) -> tuple[Pin, ...]:
    """Read a lock; GateError with every line that is not pinned exactly or has no hash."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines()]
    pins, problems = [], []
    for line in lines:
        if line and not line.startswith("#"):
            pin = _parse_line(line)
            if pin:
                pins.append(pin)
            else:
                problems.append(line)
    if problems:
        raise GateError("the lock pins these not exactly, or without a hash:\n  " + "\n  ".join(problems))
    return tuple(pins)


def select_pins(pins: Iterable[Pin], names: Collection[str], *, without: Collection[str] = ()) -> tuple[Pin, ...]:
    """Give the pins of these names, less those of `without`."""
    return tuple(pin for pin in pins if pin.name in names and pin.name not in without)


def render_lock(pins: Iterable[Pin]) -> str:
    """Give the lock of these pins."""
    return "".join(f"{pin.text}\n" for pin in pins)


def _parse_line(line: str) -> Pin | None:
    words, *hashes = line.split(" --hash=")
    try:
        requirement = Requirement(words)
    except InvalidRequirement:
        return None
    exact = re.fullmatch(r"==([^*,]+)", str(requirement.specifier))
    if not exact or not hashes:
        return None
    return Pin(canonicalize_name(requirement.name), exact[1], requirement.marker, line)
