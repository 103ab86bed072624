"""Where components come from: one small module for each kind of source, all behind one Protocol."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Source(Protocol):
    """One place an executable comes from, for one target."""

    def facts(self) -> Mapping[str, object]:
        """Give everything the executable depends on, as plain values: other facts, another executable."""

    def fetch(self, destination: Path) -> None:
        """Write the executable to `destination`, whole or not at all."""
