"""A file is reproduced completely or not at all, by the best method that the file system supports."""

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from stigmer_launcher.install import filecopy
from stigmer_launcher.system import darwin
from support.launcher_services import raising_oserror

CONTENT = os.urandom(3_000_000)


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    path.chmod(0o755)
    return path


def test_a_copy_has_content_and_mode_of_its_source_under_any_umask(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content must be synced to disk, so that a power failure cannot leave an empty file."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    before = os.umask(0o077)
    try:
        filecopy.copy(str(source), str(tmp_path / "copy"), 0o755)
    finally:
        os.umask(before)
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert (tmp_path / "copy").stat().st_mode & 0o7777 == 0o755
    assert not (tmp_path / "copy").samefile(source)
    assert synced == [len(CONTENT)]


def test_a_failed_copy_leaves_no_file(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", raising_oserror(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        filecopy.copy(str(source), str(tmp_path / "copy"), 0o644)
    assert not (tmp_path / "copy").exists()


def test_an_existing_file_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    """Files share their inodes with the keg: writing into one would damage both."""
    (tmp_path / "there").write_text("mine")
    for method in filecopy.METHODS:
        with pytest.raises(OSError, match="there"):
            method(str(source), str(tmp_path / "there"), 0o644)
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_an_unsupported_method_is_followed_by_the_next(source: Path, tmp_path: Path, number: int) -> None:
    """Another file system, fs.protected_hardlinks, too many links, no clones: the copy always remains."""
    methods = (raising_oserror(errno.EOPNOTSUPP), raising_oserror(number), filecopy.copy)
    assert filecopy.reproduce(str(source), str(tmp_path / "target"), 0o755, methods) == (filecopy.copy,)
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_an_error_that_affects_every_method_is_raised_at_once(source: Path, tmp_path: Path) -> None:
    """A copy would not succeed on a full disk either."""
    methods = (raising_oserror(errno.ENOSPC), filecopy.copy)
    with pytest.raises(OSError, match="No space"):
        filecopy.reproduce(str(source), str(tmp_path / "target"), 0o755, methods)
    assert not (tmp_path / "target").exists()


def test_clones_are_preferred_to_links_and_links_to_copies() -> None:
    assert [method.__name__ for method in filecopy.METHODS] == ["clone", "link", "copy"]


def test_a_clone_is_a_separate_file_and_a_failed_one_leaves_no_file(source: Path, tmp_path: Path) -> None:
    """Whether this file system can clone is unknown, so both outcomes are checked."""
    target = tmp_path / "clone"
    try:
        filecopy.clone(str(source), str(target), 0o755)
    except OSError:
        assert not target.exists()
    else:
        assert target.read_bytes() == CONTENT
        assert not target.samefile(source)


@pytest.mark.parametrize("number", [0, errno.EXDEV])
def test_on_macos_clonefile_is_tried_first_and_then_the_next_method(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A clone starts with the mode of its source, which must then be changed."""

    def clonefile(original: bytes, copy: bytes, flags: int) -> int:
        assert flags == 0
        ctypes.set_errno(number)
        return -1 if number else int(not shutil.copy(original, copy))

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(darwin, "_SYSTEM", SimpleNamespace(clonefile=clonefile))
    methods = (filecopy.clone, filecopy.copy)
    assert filecopy.reproduce(str(source), str(tmp_path / "new"), 0o700, methods) == (
        methods[1:] if number else methods
    )
    assert (tmp_path / "new").read_bytes() == CONTENT
    assert (tmp_path / "new").stat().st_mode & 0o7777 == 0o700
