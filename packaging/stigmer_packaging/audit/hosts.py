"""Which folders of a machine no bottle may name."""

from collections.abc import Iterable
from pathlib import Path

from stigmer_packaging.audit.traces import BUILDERS

_EVERYWHERE = (Path("/var/tmp"), Path("/private/tmp"), Path("/usr/local"))  # noqa: S108 - names that are left out, not used


def forbidden_folders(folders: Iterable[Path]) -> tuple[str, ...]:
    """Give the folders' paths, as they are and with links resolved, without those that identify no machine."""
    paths = {path for folder in folders for path in (folder.absolute(), folder.resolve())}
    return tuple(sorted(str(path) for path in paths if _identifies_a_machine(path)))


def _identifies_a_machine(path: Path) -> bool:
    """Tell whether naming this folder says where a file was built.

    A folder directly below the root does not: `/src` stands in many a file, and `/root` in documentation and in every
    wheel that was built in a container. Nor does the home of a hosted builder, where most wheels come from.
    """
    return len(path.parts) > 2 and path not in _EVERYWHERE and f"{path}/".encode() not in BUILDERS
