"""The keg's tree: its paths, and how files are added: each path once, modes normalised, links only inside the keg."""

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
"""The output of `--help`, which the single file prints before anything is unpacked."""
CHECKSUMS = "libexec/SHA256SUMS"
"""The input of `sha256sum -c`: every file of the keg except the few that brew itself rewrites."""

COMPLETIONS: Mapping[str, str] = {
    "bash": "etc/bash_completion.d/{name}",
    "zsh": "share/zsh/site-functions/_{name}",
    "fish": "share/fish/vendor_completions.d/{name}.fish",
}
"""Where shells look for completions below a prefix. Source: the paths that Homebrew links into it."""


@dataclass
class KegTree:
    """A tree below `root`. `owners` names the part that each path comes from."""

    root: Path
    owners: dict[str, str] = field(default_factory=dict)

    def add_text(self, path: str, text: str, owner: str) -> None:
        """Add a text file."""
        self._place(path, owner).write_text(text, encoding="utf-8")
        (self.root / path).chmod(0o644)

    def add_file(self, path: str, source: Path, owner: str) -> None:
        """Add a file as a hard link if its mode is right and the file system supports it, else as a copy.

        The mode is 0755 for files that their owner may execute, else 0644: no setuid, and no write access for others.
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

    def add_link(self, path: str, target: str, owner: str) -> None:
        """Add a symbolic link; KegError unless it is relative and stays inside the keg."""
        resolved = os.path.normpath(PurePosixPath(path).parent / target)
        if target.startswith("/") or resolved.startswith(".."):
            raise KegError(f"{owner}: the link {path} -> {target} leads out of the keg")
        self._place(path, owner).symlink_to(target)

    def add_folder(self, prefix: str, folder: Path, paths: tuple[str, ...], owner: str) -> None:
        """Add the given files of a folder below `prefix`, and all symbolic links in that folder."""
        for path in paths:
            self.add_file(f"{prefix}/{path}", folder / path, owner)
        for path, target in links_below(folder):
            self.add_link(f"{prefix}/{path}", target, owner)

    def _place(self, path: str, owner: str) -> Path:
        if path in self.owners:
            raise KegError(f"{path} comes from {self.owners[path]} and from {owner}")
        self.owners[path] = owner
        place = self.root / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise KegError(f"{path} of {owner} is below a file of another component") from None
        if place.is_dir():
            raise KegError(f"{path} of {owner} is a folder of another component")
        return place
