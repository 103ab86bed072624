"""The keg's tree: where things are in it, and how it grows: every path once, modes normalised, links inside."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from stigmer_packaging.lib.errors import KegError
from stigmer_packaging.records.workspace import links_below

LAUNCHER = "libexec/launcher"
COMPONENTS = "libexec/components"
INDEX = "libexec/payload.json"
HELP = "libexec/help.txt"
"""What `--help` prints: the single file answers with it before anything is unpacked."""
CHECKSUMS = "libexec/SHA256SUMS"
"""What `sha256sum -c` reads: every file of the keg but the few that brew itself rewrites."""

COMPLETIONS: Mapping[str, str] = {
    "bash": "etc/bash_completion.d/{name}",
    "zsh": "share/zsh/site-functions/_{name}",
    "fish": "share/fish/vendor_completions.d/{name}.fish",
}
"""Where the shells look for them below a prefix. Source: what Homebrew links into it."""


@dataclass
class KegTree:
    """A tree below `root`. `owners` says who put each path there."""

    root: Path
    owners: dict[str, str] = field(default_factory=dict)

    def add_text(self, path: str, text: str, owner: str) -> None:
        """Write a text file."""
        self._place(path, owner).write_text(text, encoding="utf-8")
        (self.root / path).chmod(0o644)

    def add_file(self, path: str, source: Path, owner: str) -> None:
        """Put a file there as a hard link where its mode is right already and the file system can, else as a copy.

        The mode is 0755 for what its owner may execute, else 0644: no setuid, no one else may write.
        """
        if source.is_symlink() or not source.is_file():
            raise KegError(f"{owner}: {source.name} is not a plain file")
        mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
        place = self._place(path, owner)
        if source.stat().st_mode & 0o7777 == mode:
            with contextlib.suppress(OSError):
                os.link(source, place)
                return
        shutil.copyfile(source, place)
        place.chmod(mode)

    def add_link(self, path: str, goal: str, owner: str) -> None:
        """Make a symbolic link; KegError unless it is relative and leads to a path of this keg."""
        reached = os.path.normpath(PurePosixPath(path).parent / goal)
        if goal.startswith("/") or reached.startswith(".."):
            raise KegError(f"{owner}: the link {path} -> {goal} leads out of the keg")
        self._place(path, owner).symlink_to(goal)

    def add_folder(self, prefix: str, folder: Path, paths: tuple[str, ...], owner: str) -> None:
        """Add the named files of a folder below `prefix`, and the symbolic links found beside them."""
        for path in paths:
            self.add_file(f"{prefix}/{path}", folder / path, owner)
        for path, goal in links_below(folder):
            self.add_link(f"{prefix}/{path}", goal, owner)

    def _place(self, path: str, owner: str) -> Path:
        if path in self.owners:
            raise KegError(f"{path} comes from {self.owners[path]} and from {owner}")
        self.owners[path] = owner
        place = self.root / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise KegError(f"{path} of {owner} lies below a file of another component") from None
        if place.is_dir():
            raise KegError(f"{path} of {owner} is a folder of another component")
        return place
