"""Digests of files, folders and values: what makes a record current, or stale."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def sha256_of(path: Path) -> str:
    """Give a file's sha256 in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_tree(root: Path, *, ignored: tuple[str, ...] = ()) -> str:
    """Give one sha256 for names, executable bits, link targets and contents of all below `root`, in sorted order."""
    total = hashlib.sha256()
    for path in sorted(_walk(root, ignored)):
        kind = "link" if path.is_symlink() else "x" if os.access(path, os.X_OK) else "-"
        content = str(path.readlink()) if path.is_symlink() else sha256_of(path)
        total.update(f"{path.relative_to(root).as_posix()}\0{kind}\0{content}\n".encode())
    return total.hexdigest()


def sha256_of_value(*values: Any) -> str:
    """Give one sha256 for plain values (strings, numbers, lists, maps), the same for equal values."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _walk(root: Path, ignored: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ignored]
        found += [Path(folder) / name for name in names if name not in ignored]
    return found
