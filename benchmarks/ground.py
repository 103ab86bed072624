"""A file system new for the run, for the keg and the homes: what a file costs on it does not depend on yesterday.

On a disk in use it changes from minute to minute: an ext4 without a journal looks at every inode freed in the last
minutes before it gives out another (`recently_deleted` in fs/ext4/ialloc.c), and a directory cost five times as much
after a build had tidied up; mounted with `discard`, it also waits for the device at every file replaced. One with a journal, its tables written beforehand, is also what users have.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

MEMORY, FILE, DISK = "memory", "file", "disk"
_SHELF = Path("/dev/shm")  # noqa: S108 - a file system in memory, in which a directory of a name nobody knows is made
_SIZE = 2 << 30  # bytes, of which the image's file holds what is written
_NEEDED = ("mkfs.ext4", "unshare", "mount")
_SCRIPT = 'mount -o loop "$1" "$2" && cp -R "$3" "$2/keg" && sync && shift 3 && exec "$@"'


class Ground(NamedTuple):
    """A copy of the keg, and a folder to work in, both on one file system, which exists for commands behind `prefix`."""

    keg: Path
    folder: Path
    prefix: tuple[str, ...]


def kinds() -> tuple[str, ...]:
    """Name the grounds this machine has, the quietest first: a new one in memory, a new one in a file, the keg's own disk."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not all(map(shutil.which, _NEEDED)):
        return (DISK,)
    in_memory = _SHELF.is_mount() and shutil.disk_usage(_SHELF).free > 2 * _SIZE
    return (MEMORY, FILE, DISK) if in_memory else (FILE, DISK)


def describe(kind: str) -> str:
    """Say on what kind of ground was measured."""
    if kind == DISK:
        return "keg and homes on a disk in use: what was removed there just before counts"
    where = "memory" if kind == MEMORY else "a file"
    return f"keg and homes on an ext4 new for the run, with a journal, on a loop device over {where}"


def place_of(kind: str, work: Path | None) -> Path | None:
    """Give the directory for what a run makes: `work`, None for the system's default, but memory for what is in memory."""
    return _SHELF if kind == MEMORY else work


def prepare(keg: Path, work: Path) -> Ground:
    """Make the file system below `work`, which holds up to 2 GB of it, and have a copy of the keg on it.

    It is mounted in a mount namespace that only the commands behind `prefix` see: nothing of it is left after them.
    """
    image, place = work / "ground.img", work / "ground"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(_SIZE)
    settled = "lazy_itable_init=0,lazy_journal_init=0"  # else the kernel writes its tables while we measure
    subprocess.run(["mkfs.ext4", "-q", "-E", settled, str(image)], check=True, timeout=120)
    prefix = ("unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(image), str(place), str(keg))
    return Ground(place / "keg", place, prefix)
