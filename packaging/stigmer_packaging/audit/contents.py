"""The contents of one bottle as values, which the checks inspect."""

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stigmer_packaging.binaries.buildinfo import BuildInfo
from stigmer_packaging.binaries.elf import Elf
from stigmer_packaging.binaries.macho import MachO
from stigmer_packaging.binaries.nesting import Bootloader

FILE, FOLDER, LINK, HARD_LINK, OTHER = "file", "folder", "link", "hard link", "other"
_MOST_LINKS = 40  # as many as Linux follows before it fails with ELOOP


@dataclass(frozen=True)
class Trace:
    """A path of a build machine, found `count` times in one file: `origin` is the machine, `sample` the first hit."""

    origin: str
    sample: str
    count: int


@dataclass(frozen=True)
class Content:
    """What was read from one file.

    `text` is the whole content of a small file that is not native code, otherwise None; `head` is its first bytes.
    `elf` and `machos` describe native code, `go` the modules that Go linked into it, `bootloader` what PyInstaller
    added; `foreign` names another system's executable format. `damage` describes what could not be read. `words`, of a
    component's file only, are the words that may be names of environment variables.
    """

    sha256: str
    head: bytes
    text: bytes | None = None
    elf: Elf | None = None
    machos: tuple[MachO, ...] = ()
    go: BuildInfo | None = None
    bootloader: Bootloader | None = None
    foreign: str = ""
    damage: str = ""
    traces: tuple[Trace, ...] = ()
    secrets: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Entry:
    """One member of the archive: `name` as stored there, and `path` below the keg, None if it is outside the keg.

    `owner` is the names of the user and the group; `mtime` is in seconds since 1970; `link_target` is as stored.
    """

    name: str
    path: str | None
    kind: str
    mode: int
    uid: int
    gid: int
    owner: tuple[str, str]
    mtime: float
    size: int
    link_target: str = ""
    content: Content | None = None

    @property
    def executable(self) -> bool:
        """Whether its owner may execute it."""
        return bool(self.mode & 0o100)


@dataclass(frozen=True)
class Contents:
    """The whole archive, in its order; `gzip` is the gzip header without its optional fields."""

    gzip: bytes
    entries: tuple[Entry, ...]

    @cached_property
    def paths(self) -> Mapping[str, Entry]:
        """The keg's entries by path."""
        return {entry.path: entry for entry in self.entries if entry.path is not None}

    @cached_property
    def files(self) -> Mapping[str, Content]:
        """The contents of the keg's files by path."""
        return {path: entry.content for path, entry in self.paths.items() if entry.content is not None}

    def text(self, path: str) -> str | None:
        """Return a small file as text, or None if there is no such file."""
        content = self.files.get(path)
        return None if content is None or content.text is None else content.text.decode(errors="replace")

    def json_object(self, path: str) -> dict[str, Any] | None:
        """Return a small file as a JSON object, or None if it is missing, not an object, or nested too deeply."""
        try:
            value = json.loads(self.text(path) or "")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def resolve(self, path: str, *, links: int = _MOST_LINKS) -> Entry | None:
        """Return the entry at a path after following at most `links` links inside the keg, or None if there is none."""
        reached, entry = "", None
        names = path.split("/")
        for number, name in enumerate(names, start=1):
            reached = posixpath.join(reached, name)
            entry = self.paths.get(reached)
            if entry is not None and entry.kind == LINK:
                target = join(posixpath.dirname(reached), posixpath.join(entry.link_target, *names[number:]))
                return self.resolve(target, links=links - 1) if links else None
        return entry


def join(folder: str, relative: str) -> str:
    """Return the path below the keg of `relative` in `folder`; it starts with `..` if it leads out of the keg."""
    return posixpath.normpath(posixpath.join(folder, relative))
