"""Digests of files, folders and values, by which records are known to be current or stale."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_tree(root: Path, *, ignored: tuple[str, ...] = ()) -> str:
    """Return one sha256 of the names, executable bits, link targets and contents of all below `root`, in sorted order.

    Entries that are neither files nor links, such as sockets, have no content.
    """
    total = hashlib.sha256()
    for path in sorted(_walk(root, ignored)):
        kind = "link" if path.is_symlink() else "x" if os.access(path, os.X_OK) else "-"
        content = str(path.readlink()) if path.is_symlink() else sha256_of(path) if path.is_file() else "no file"
        total.update(os.fsencode(f"{path.relative_to(root).as_posix()}\0{kind}\0{content}\n"))
    return total.hexdigest()


def sha256_of_copy(root: Path, ignore: Callable[[str, Sequence[str]], set[str]]) -> str:
    """Return one sha256 of what `shutil.copytree` copies from `root` with this `ignore`, following links."""
    total = hashlib.sha256()
    for path in sorted(_walk_copied(root, ignore)):
        kind = "x" if os.access(path, os.X_OK) else "-"
        total.update(os.fsencode(f"{path.relative_to(root).as_posix()}\0{kind}\0{sha256_of(path)}\n"))
    return total.hexdigest()


def sha256_of_value(*values: Any) -> str:
    """Return one sha256 of plain values (strings, numbers, lists, maps), the same for equal values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def render_sums(sums: Iterable[tuple[str, str]]) -> str:
    """Render pairs of path and sha256 as lines for `sha256sum -c`."""
    return "".join(f"{sha256}  {path}\n" for path, sha256 in sums)


def parse_sums(text: str) -> dict[str, str]:
    """Parse lines of `sha256sum` into a mapping from path to sha256."""
    lines = (line.partition("  ") for line in text.splitlines())
    return {path: sha256 for sha256, _, path in lines}


def _walk_copied(root: Path, ignore: Callable[[str, Sequence[str]], set[str]]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, followlinks=True):
        ignored = ignore(folder, [*folders, *names])
        folders[:] = [name for name in folders if name not in ignored]
        yield from (Path(folder) / name for name in names if name not in ignored and (Path(folder) / name).is_file())


def _walk(root: Path, ignored: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ignored]
        links = (name for name in folders if (Path(folder) / name).is_symlink())
        found += [Path(folder) / name for name in (*names, *links) if name not in ignored]
    return found
