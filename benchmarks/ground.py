"""A file system new for the run, to measure on it what the making of links and directories costs.

On a disk in use that changes from minute to minute: an ext4 without a journal looks at every inode freed in the last
minutes before it gives out another (`recently_deleted` in fs/ext4/ialloc.c), and a directory cost five times as much
after a build had tidied up. One with a journal, its tables written beforehand, is also what users have.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

_SIZE = 2 << 30  # bytes, of which the image's file holds what is written
_NEEDED = ("mkfs.ext4", "unshare", "mount")
_SCRIPT = 'mount -o loop "$1" "$2" && cp -R "$3" "$2/libexec" && sync && shift 3 && exec "$@"'


class Ground(NamedTuple):
    """Where links are made: the keg's libexec and a folder, both on one file system, which exists inside `prefix`."""

    libexec: Path
    folder: Path
    prefix: tuple[str, ...] = ()


def is_possible() -> bool:
    """Tell whether this machine lets us make a file system and mount it."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and all(map(shutil.which, _NEEDED))


def describe() -> str:
    """Say on what kind of ground links are made here."""
    if is_possible():
        return "links and directories made on an ext4 new for the run, with a journal, on a loop device"
    return (
        "links and directories made on the disk of the keg: no root, loop device or mkfs.ext4 for one new for the run"
    )


def prepare(libexec: Path, work: Path) -> Ground:
    """Make the file system below `work`; where that is not possible, take the keg's own disk.

    It is mounted in a mount namespace that only the commands behind `prefix` see: nothing of it is left after them.
    """
    if not is_possible():
        return Ground(libexec, work / "laid")
    image, place = work / "ground.img", work / "ground"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(_SIZE)
    settled = "lazy_itable_init=0,lazy_journal_init=0"  # else the kernel writes its tables while we measure
    subprocess.run(["mkfs.ext4", "-q", "-E", settled, str(image)], check=True, timeout=120)
    prefix = ("unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(image), str(place), str(libexec))
    return Ground(place / "libexec", place / "laid", prefix)
