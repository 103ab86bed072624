"""Sources of components: one module for each kind, all with the same interface."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Source(Protocol):
    """Where a component's executable for one target comes from."""

    def facts(self) -> Mapping[str, object]:
        """Return everything that the executable depends on, as plain values; if one changes, fetch it again."""

    def fetch(self, destination: Path) -> None:
        """Write the executable to `destination`, completely or not at all."""
