"""Copies of source trees that can be changed and removed, whatever the modes of the original."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path


def copy_tree(
    source: Path,
    destination: Path,
    *,
    symlinks: bool = False,
    ignore: Callable[[str, list[str]], set[str]] | None = None,
) -> Path:
    """Copy a folder like `shutil.copytree`, and make the copy writable for its owner: a checkout may be read-only."""
    shutil.copytree(source, destination, symlinks=symlinks, ignore=ignore)
    for folder, _, names in os.walk(destination):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return destination
