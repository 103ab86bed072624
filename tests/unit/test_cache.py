"""Things of the cache are made once, whole or not at all."""

import subprocess
import sys
from pathlib import Path

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
