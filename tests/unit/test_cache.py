"""Entries of the cache are created once and atomically."""

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


def make_folder(folder: Path) -> Path:
    (folder / "whole").mkdir()
    return folder / "whole"


def test_an_entry_whose_creation_was_killed_is_removed_and_created_again(tmp_path: Path) -> None:
    """A process killed halfway must not leave an entry that looks complete."""
    entry = tmp_path / "entry"
    words: list[str | Path] = [sys.executable, "-c", KILLED, entry]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"at work\n"
        child.kill()
    assert list(tmp_path.glob("making-*/half"))
    make_once(entry, make_folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entry", "entry.lock"]


def make_file(folder: Path) -> Path:
    (folder / "whole" / "deep").mkdir(parents=True)
    (folder / "whole" / "deep" / "file").write_text("made", encoding="ascii")
    return folder / "whole"


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "deep/file").write_text("", encoding="ascii"),
        lambda entry: (entry / "deep/file").unlink(),
        lambda entry: (entry / "deep/more").touch(),
        lambda entry: entry.with_name("entry.sha256").write_text("", encoding="ascii"),
        lambda entry: entry.with_name("entry.sha256").unlink(),
    ],
    ids=["emptied", "removed", "added", "empty digest", "no digest"],
)
def test_a_checked_entry_that_was_damaged_is_created_again(damage: Callable[[Path], object], tmp_path: Path) -> None:
    """A full disk, a power failure or a clean-up may leave only part of an entry."""
    entry = make_once(tmp_path / "entry", make_file, checked=True)
    inode = entry.stat().st_ino
    (entry / "deep" / "__pycache__").mkdir()
    (entry / "deep" / "__pycache__" / "file.pyc").touch()
    assert make_once(entry, make_file, checked=True).stat().st_ino == inode
    damage(entry)
    make_once(entry, make_file, checked=True)
    assert [path.name for path in (entry / "deep").iterdir()] == ["file"]
    assert (entry / "deep" / "file").read_text(encoding="ascii") == "made"
