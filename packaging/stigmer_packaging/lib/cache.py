"""Files and folders that are created atomically, also when several processes want them at the same time."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from stigmer_packaging.lib import digest


def make_once(place: Path, make: Callable[[Path], Path], *, checked: bool = False) -> Path:
    """Return `place`; if it does not exist, call `make` with an empty folder and rename the path it returns to `place`.

    With `checked`, a folder whose files no longer match their digest is recreated. Leftovers of killed runs are
    removed. Concurrent calls wait for each other.
    """
    record = place.with_name(f"{place.name}.sha256")
    with file_lock(place):
        if not (_is_intact(place, record) if checked else place.exists()):
            for litter in (*place.parent.glob(f"making-{place.name}-*"), place):
                shutil.rmtree(litter, ignore_errors=True)  # programs started by a killed run may still write there
            making = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"making-{place.name}-"))
            try:
                created = make(making)
                if checked:
                    write_atomically(record, _digest_of(created))
                created.rename(place)
            finally:
                shutil.rmtree(making, ignore_errors=True)
    return place


def _is_intact(place: Path, record: Path) -> bool:
    return place.is_dir() and record.is_file() and record.read_bytes() == _digest_of(place).encode()


def _digest_of(folder: Path) -> str:
    return digest.sha256_of_tree(folder, ignored=("__pycache__",))  # Python adds it on import


def write_atomically(place: Path, text: str) -> Path:
    """Write text to `place` atomically, by a rename, and return `place`; readers never see a partial file."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    part.write_text(text, encoding="utf-8")
    return part.replace(place)


@contextlib.contextmanager
def file_lock(place: Path) -> Iterator[None]:
    """Hold an exclusive lock for `place` between processes; the kernel releases it if this process is killed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
