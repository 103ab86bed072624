"""Which folders of a machine no bottle may name."""

from collections.abc import Iterable
from pathlib import Path

_HOMES = (Path("/root"),)
"""Homes directly below the root. Another folder there, such as /src, is named in many a file without meaning any machine."""

_EVERYWHERE = (Path("/var/tmp"), Path("/private/tmp"), Path("/usr/local"))  # noqa: S108 - names that are left out, not used


def forbidden_folders(folders: Iterable[Path]) -> tuple[str, ...]:
    """Give the folders' paths, as they are and with links resolved, without those that every machine has."""
    paths = {path for folder in folders for path in (folder.absolute(), folder.resolve())}
    special = (path for path in paths if len(path.parts) > 2 or path in _HOMES)
    return tuple(sorted(str(path) for path in special if path not in _EVERYWHERE))
