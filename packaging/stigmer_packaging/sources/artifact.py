"""Downloads prebuilt executables by URL and sha256: as plain files, or as members of a tar or zip archive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib import http, unpacking
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import ArtifactSource


@dataclass(frozen=True)
class FromArtifact:
    """A file on a web server, cached by its sha256."""

    source: ArtifactSource
    target: Target
    cache: Path
    report: Callable[[str], None]

    def facts(self) -> Mapping[str, object]:
        """Return the file's sha256 and the member; the URL does not matter."""
        return {"member": self.source.member, "sha256": self.source.files[str(self.target)].sha256}

    def fetch(self, destination: Path) -> None:
        """Download the file if it is not in the cache, and write it, or its member, to `destination`."""
        file = self.source.files[str(self.target)]
        fetched = http.download(file.url, file.sha256, self.cache / "artifacts" / file.sha256, report=self.report)
        unpacking.extract_executable(fetched, self.source.member, destination)
