"""A file is reproduced whole or not at all, by the best method that works where it is."""

import errno
import os
from pathlib import Path

import pytest

from stigmer_launcher.install import filecopy

CONTENT = os.urandom(3_000_000)


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    path.chmod(0o755)
    return path


def failing(number: int) -> filecopy.Method:
    """Make a method that is not possible for the reason given."""

    def method(source: str, target: str, mode: int) -> None:
        raise OSError(number, os.strerror(number), target)

    return method


def test_a_copy_has_the_content_and_the_mode_whatever_the_umask(source: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        filecopy.copy(str(source), str(tmp_path / "copy"), 0o755)
    finally:
        os.umask(before)
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert (tmp_path / "copy").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "copy").stat().st_ino != source.stat().st_ino


@pytest.mark.parametrize(("sizes", "number"), [((), errno.EXDEV), ((1_000_000,), errno.EINVAL)])
def test_a_copy_that_the_kernel_does_not_finish_is_completed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...], number: int
) -> None:
    """It may refuse at once, or after a part."""
    parts = iter(sizes)

    def copy_a_part(reader: int, writer: int, size: int) -> int:
        if part := next(parts, 0):
            return os.write(writer, os.read(reader, part))
        raise OSError(number, "no more")

    monkeypatch.setattr(os, "copy_file_range", copy_a_part, raising=False)
    filecopy.copy(str(source), str(tmp_path / "copy"), 0o644)
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_copy_that_fails_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        filecopy.copy(str(source), str(tmp_path / "copy"), 0o644)
    assert not (tmp_path / "copy").exists()


def test_a_copy_is_on_disk_before_it_counts(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    filecopy.copy(str(source), str(tmp_path / "copy"), 0o644)
    assert synced == [len(CONTENT)]


def test_a_clone_is_a_file_of_its_own_or_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """Whether this file system can clone is not ours to choose; both outcomes have a promise."""
    target = tmp_path / "clone"
    methods = (("clone", filecopy.clone), ("nothing", lambda *_: None))
    if filecopy.reproduce(str(source), str(target), 0o755, methods) == "clone":
        assert target.read_bytes() == CONTENT
        assert not target.samefile(source)
    else:
        assert not target.exists()


def test_nothing_that_exists_is_overwritten(source: Path, tmp_path: Path) -> None:
    """Files share their inodes with the keg: writing into one would damage both."""
    (tmp_path / "there").write_text("mine")
    for _, method in filecopy.METHODS:
        with pytest.raises(OSError, match="there"):
            method(str(source), str(tmp_path / "there"), 0o644)
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_what_does_not_work_here_is_followed_by_the_next_method(source: Path, tmp_path: Path, number: int) -> None:
    """Another file system, fs.protected_hardlinks, too many links, no clones: in the end there is the copy."""
    methods = (("clone", failing(errno.EOPNOTSUPP)), ("link", failing(number)), ("copy", filecopy.copy))
    assert filecopy.reproduce(str(source), str(tmp_path / "target"), 0o755, methods) == "copy"
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_what_would_fail_every_time_is_not_tried_again(source: Path, tmp_path: Path) -> None:
    """A full disk is no reason to copy."""
    with pytest.raises(OSError, match="No space") as caught:
        filecopy.reproduce(
            str(source), str(tmp_path / "target"), 0o755, (("link", failing(errno.ENOSPC)), ("copy", filecopy.copy))
        )
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "target").exists()


def test_links_come_before_copies_and_clones_before_both() -> None:
    assert [name for name, _ in filecopy.METHODS] == ["clone", "link", "copy"]
    assert [name for name, _ in filecopy.starting_with("link")] == ["link", "copy"]
    assert filecopy.starting_with("unknown") == filecopy.METHODS


def test_cloning_is_left_out_exactly_where_the_file_system_has_no_clones(source: Path, tmp_path: Path) -> None:
    try:
        filecopy.clone(str(source), str(tmp_path / "clone"), 0o755)
        worked = True
    except OSError:
        worked = False
    with (tmp_path / "asked").open("w+b") as asked:
        asked.write(b"as it was")
        asked.flush()
        assert filecopy.possible(asked.fileno()) == (filecopy.METHODS if worked else filecopy.METHODS[1:])
        assert (tmp_path / "asked").read_bytes() == b"as it was"


def test_methods_without_cloning_stay_as_they_are(source: Path) -> None:
    with source.open("r+b") as asked:
        assert filecopy.possible(asked.fileno(), filecopy.METHODS[1:]) == filecopy.METHODS[1:]
