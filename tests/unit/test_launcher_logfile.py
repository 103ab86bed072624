"""A log file that others remove, rename or truncate while the server runs."""

import shutil
from pathlib import Path

from stigmer_launcher.supervise.logfile import STAMP_SIZE, LogFile


def lines(path: Path) -> list[str]:
    """Give the lines of a log without their times."""
    return [line[STAMP_SIZE:] for line in path.read_text(encoding="utf-8").splitlines()]


def opened(path: Path, largest: int = 10_000) -> LogFile:
    """Give a log that has one line and an open file."""
    path.parent.mkdir(exist_ok=True)
    log = LogFile(str(path), clock=lambda: 0.0, largest=largest, count=3)
    log.write(b"first\n")
    return log


def test_a_log_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    log = opened(tmp_path / "a.log")
    (tmp_path / "a.log").unlink()
    log.write(b"second\n")
    assert lines(tmp_path / "a.log") == ["second"]


def test_a_log_that_was_moved_away_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """As logrotate moves it; the moved file gets no more lines."""
    log = opened(tmp_path / "a.log")
    (tmp_path / "a.log").rename(tmp_path / "a.log-20261128")
    log.write(b"second\n")
    assert lines(tmp_path / "a.log-20261128") == ["first"]
    assert lines(tmp_path / "a.log") == ["second"]


def test_a_log_that_was_replaced_goes_on_in_the_new_file(tmp_path: Path) -> None:
    """As logrotate creates it."""
    log = opened(tmp_path / "a.log")
    (tmp_path / "a.log").rename(tmp_path / "old")
    (tmp_path / "a.log").touch(0o600)
    log.write(b"second\n")
    assert lines(tmp_path / "a.log") == ["second"]


def test_a_log_that_was_emptied_is_rotated_by_its_real_size(tmp_path: Path) -> None:
    """As logrotate's copytruncate empties it: what was cut off counts no more."""
    log = opened(tmp_path / "a.log", largest=100)
    log.write(b"x" * 40 + b"\n")
    (tmp_path / "a.log").write_bytes(b"")
    log.write(b"second\n")
    assert lines(tmp_path / "a.log") == ["second"]
    assert not (tmp_path / "a.log.1").exists()


def test_a_folder_of_logs_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    log = opened(tmp_path / "logs" / "a.log")
    shutil.rmtree(tmp_path / "logs")
    log.write(b"second\n")
    assert lines(tmp_path / "logs" / "a.log") == ["second"]
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_a_home_that_was_removed_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    log = opened(tmp_path / "home" / "logs" / "a.log")
    shutil.rmtree(tmp_path / "home")
    log.write(b"second\n")
    log.close()
    assert not (tmp_path / "home").exists()
