"""Things of the cache are made once, whole or not at all."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.lib.cache import make_once

PACKAGING = Path(__file__).parents[2] / "packaging"
KILLED = f"""
import sys
sys.path.insert(0, {str(PACKAGING)!r})
from pathlib import Path
from stigmer_packaging.lib.cache import make_once
def make(folder):
    (folder / "half").mkdir()
    print("at work", flush=True)
    sys.stdin.read()
make_once(Path(sys.argv[1]), make)
"""


def make_whole(folder: Path) -> Path:
    (folder / "whole").mkdir()
    return folder / "whole"


def test_what_was_being_made_when_it_was_killed_is_removed_and_made_again(tmp_path: Path) -> None:
    """Killed at its worst moment, it leaves nothing that is taken for whole."""
    place = tmp_path / "place"
    words: list[str | Path] = [sys.executable, "-c", KILLED, place]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"at work\n"
        child.kill()
    assert list(tmp_path.glob("making-*/half"))
    make_once(place, make_whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "place.lock"]


def make_file(folder: Path) -> Path:
    (folder / "whole" / "deep").mkdir(parents=True)
    (folder / "whole" / "deep" / "file").write_text("made", encoding="ascii")
    return folder / "whole"


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: (place / "deep/file").write_text("", encoding="ascii"),
        lambda place: (place / "deep/file").unlink(),
        lambda place: (place / "deep/more").touch(),
        lambda place: place.with_name("place.sha256").write_text("", encoding="ascii"),
        lambda place: place.with_name("place.sha256").unlink(),
    ],
    ids=["emptied", "removed", "added", "empty digest", "no digest"],
)
def test_what_is_checked_is_made_anew_when_it_is_no_longer_what_was_made(
    damage: Callable[[Path], object], tmp_path: Path
) -> None:
    """A disk that was full, a lost power supply or a clean-up leaves part of it."""
    place = make_once(tmp_path / "place", make_file, checked=True)
    made = place.stat().st_ino
    (place / "deep" / "__pycache__").mkdir()
    (place / "deep" / "__pycache__" / "file.pyc").touch()
    assert make_once(place, make_file, checked=True).stat().st_ino == made
    damage(place)
    make_once(place, make_file, checked=True)
    assert [path.name for path in (place / "deep").iterdir()] == ["file"]
    assert (place / "deep" / "file").read_text(encoding="ascii") == "made"
