"""Pour a bottle as brew does: unpack it into the Cellar, link what belongs into the prefix.

Source: Homebrew's pour and link, for a keg whose only linked folder is `bin`. The receipt is left as the bottle has it.
"""

import os
from pathlib import Path

from stigmer_packaging.bottle.archive import unpack_archive
from stigmer_packaging.lib.errors import ArchiveError


def pour(bottle: Path, prefix: Path, name: str, version: str) -> Path:
    """Pour into `prefix` and give the keg; ArchiveError when the bottle is damaged or holds another keg."""
    cellar = prefix / "Cellar"
    cellar.mkdir(parents=True, exist_ok=True)
    unpack_archive(bottle, cellar)
    keg = cellar / name / version
    if not (keg / "bin").is_dir():
        raise ArchiveError(f"{bottle.name} does not hold the keg {name}/{version}")
    _link(prefix / "opt" / name, keg)
    for command in sorted((keg / "bin").iterdir()):
        _link(prefix / "bin" / command.name, command)
    return keg


def _link(link: Path, goal: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(goal, link.parent))
