"""Things that are made whole or not at all, whoever else wants them at the same time."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from stigmer_packaging.lib import digest


def make_once(place: Path, make: Callable[[Path], Path], *, checked: bool = False) -> Path:
    """Give `place`, made if it is not there: `make` is given an empty folder and says what in it is to become `place`.

    A folder that is `checked` is made anew when a file in it is no longer what was made. What killed runs left is
    removed. Concurrent calls wait for each other.
    """
    said = place.with_name(f"{place.name}.sha256")
    with alone(place):
        if not (_is_as_made(place, said) if checked else place.exists()):
            for litter in (*place.parent.glob(f"making-{place.name}-*"), place):
                shutil.rmtree(litter, ignore_errors=True)  # what a killed run started may still write there
            making = Path(tempfile.mkdtemp(dir=place.parent, prefix=f"making-{place.name}-"))
            try:
                made = make(making)
                if checked:
                    write_whole(said, _digest_of(made))
                made.rename(place)
            finally:
                shutil.rmtree(making, ignore_errors=True)
    return place


def _is_as_made(place: Path, said: Path) -> bool:
    return place.is_dir() and said.is_file() and said.read_bytes() == _digest_of(place).encode()


def _digest_of(folder: Path) -> str:
    return digest.sha256_of_tree(folder, ignored=("__pycache__",))  # Python writes those beside what it reads


def write_whole(place: Path, text: str) -> Path:
    """Write a text to `place` by a rename: nobody ever reads half of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    part.write_text(text, encoding="utf-8")
    return part.replace(place)


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Hold the lock of `place` between processes; the kernel lets go of it when we are killed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
