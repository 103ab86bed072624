"""A fresh file system for the keg and the homes, so that earlier activity on the disk does not affect the results.

On a disk in use, the cost of creating files changes from minute to minute: an ext4 without a journal checks every
recently freed inode before it allocates one (`recently_deleted` in fs/ext4/ialloc.c), so a directory cost five times as
much after a build had cleaned up. Mounted with `discard`, ext4 also waits for the device whenever a file is replaced.
The fresh file system has a journal, as users' file systems do, and its tables are written in advance.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

MEMORY, FILE, DISK = "memory", "file", "disk"
_TMPFS = Path("/dev/shm")  # noqa: S108 - only a temporary directory with a random name is created in it
_SIZE = 2 << 30  # bytes; the image is a sparse file
_PROGRAMS = ("mkfs.ext4", "unshare", "mount")
_SCRIPT = 'mount -o loop "$1" "$2" && cp -R "$3" "$2/keg" && sync && shift 3 && exec "$@"'


class Filesystem(NamedTuple):
    """A copy of the keg and a working directory on one file system, mounted only for commands run with `prefix`."""

    keg: Path
    folder: Path
    prefix: tuple[str, ...]


def kinds() -> tuple[str, ...]:
    """Return the kinds this machine supports, least noisy first: fresh in memory or in a file, the keg's own disk."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not all(map(shutil.which, _PROGRAMS)):
        return (DISK,)
    in_memory = _TMPFS.is_mount() and shutil.disk_usage(_TMPFS).free > 2 * _SIZE
    return (MEMORY, FILE, DISK) if in_memory else (FILE, DISK)


def describe(kind: str) -> str:
    """Describe for the report on what kind of file system the measurements ran."""
    if kind == DISK:
        return "keg and homes on a disk in use: files removed there shortly before affect the results"
    where = "memory" if kind == MEMORY else "a file"
    return f"keg and homes on a fresh ext4 with a journal, on a loop device backed by {where}"


def place_of(kind: str, work: Path | None) -> Path | None:
    """Return the parent of the temporary directory: /dev/shm for MEMORY, else `work` (None: the system's default)."""
    return _TMPFS if kind == MEMORY else work


def prepare(keg: Path, work: Path) -> Filesystem:
    """Create the file system in an image of at most 2 GB below `work`; it will hold a copy of the keg.

    Each command run with `prefix` mounts it in a mount namespace of its own, so nothing is left mounted afterwards.
    """
    image, place = work / "filesystem.img", work / "filesystem"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(_SIZE)
    options = "lazy_itable_init=0,lazy_journal_init=0"  # otherwise the kernel writes the tables during measurements
    subprocess.run(["mkfs.ext4", "-q", "-E", options, str(image)], check=True, timeout=120)
    prefix = ("unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(image), str(place), str(keg))
    return Filesystem(place / "keg", place, prefix)
