"""What an audit looks at: everything in one bottle, as values."""

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
_MOST_LINKS = 40  # what Linux follows before it gives up


@dataclass(frozen=True)
class Trace:
    """A path of some machine, found `count` times in one file: `sample` is the first."""

    whose: str
    sample: str
    count: int


@dataclass(frozen=True)
class Content:
    """What was seen of one file while it went by.

    `text` is the whole content of a file that is small and not native code, else None; `head`, its first bytes. `elf`
    and `machos` describe native code, `go` what Go linked into it, `bootloader` what PyInstaller did, `foreign` names a
    format of another system; `damage` says what could not be read; `words`, of a component's file only, are those that
    may be names of variables.
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
    """One member of the archive: `name` as it stands there, `path` below the keg, None when it is not below it.

    `owner` is the user's and the group's name; `mtime` is in seconds since 1970; `goal` is where a link leads.
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
    goal: str = ""
    content: Content | None = None

    @property
    def executable(self) -> bool:
        """Whether its owner may run it."""
        return bool(self.mode & 0o100)


@dataclass(frozen=True)
class Contents:
    """The whole archive, in its order; `gzip` is what stands before it, without the optional fields."""

    gzip: bytes
    entries: tuple[Entry, ...]

    @cached_property
    def paths(self) -> Mapping[str, Entry]:
        """Everything in the keg by its path there."""
        return {entry.path: entry for entry in self.entries if entry.path is not None}

    @cached_property
    def files(self) -> Mapping[str, Content]:
        """The files' contents by path."""
        return {path: entry.content for path, entry in self.paths.items() if entry.content is not None}

    def text(self, path: str) -> str | None:
        """Give a small file as text, None when there is none such."""
        content = self.files.get(path)
        return None if content is None or content.text is None else content.text.decode(errors="replace")

    def json_object(self, path: str) -> dict[str, Any] | None:
        """Read a small file as a JSON object, None when it is missing, something else, or nested too deep to be read."""
        try:
            found = json.loads(self.text(path) or "")
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def resolve(self, path: str, *, links: int = _MOST_LINKS) -> Entry | None:
        """Follow the links on the way inside the keg, `links` at most, to what is there; None when nothing is."""
        reached, entry = "", None
        names = path.split("/")
        for number, name in enumerate(names, start=1):
            reached = posixpath.join(reached, name)
            entry = self.paths.get(reached)
            if entry is not None and entry.kind == LINK:
                goal = join(posixpath.dirname(reached), posixpath.join(entry.goal, *names[number:]))
                return self.resolve(goal, links=links - 1) if links else None
        return entry


def join(folder: str, relative: str) -> str:
    """Give the path below the keg that `relative` means in `folder`; it begins with `..` when it leads out."""
    return posixpath.normpath(posixpath.join(folder, relative))
