"""A log file: stamped, rotated, without secrets, and in nobody's way, whoever removes or renames it meanwhile."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.supervise.logfile import LAST_LINES, STAMP_SIZE, LogFile, stamped

STAMP = "2026-11-22T18:01:02.345Z "
NOW = 1795370462.345
KEY = "sk-ant-0123456789"


def plain(path: Path) -> list[str]:
    """Give a log's lines without their stamps."""
    return [line[STAMP_SIZE:] for line in path.read_text(encoding="utf-8").splitlines()]


def log(tmp_path: Path, *secrets: str, largest: int = 10_000, count: int = 3) -> LogFile:
    """Give a log that stands still in time."""
    return LogFile(str(tmp_path / "a.log"), secrets, clock=lambda: NOW, largest=largest, count=count)


def test_each_line_begins_with_its_time(tmp_path: Path) -> None:
    written = log(tmp_path)
    written.write(b"one\ntwo\n")
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == f"{STAMP}one\n{STAMP}two\n"
    assert stamped(0.0) == b"1970-01-01T00:00:00.000Z "


def test_a_line_is_written_when_it_is_whole(tmp_path: Path) -> None:
    written = log(tmp_path)
    written.write(b"on")
    written.write(b"e\ntw")
    assert plain(tmp_path / "a.log") == ["one"]
    written.close()
    assert plain(tmp_path / "a.log") == ["one", "tw"]


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    log(tmp_path).write(b"x\n")
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


def test_a_log_is_rotated_by_size_and_count(tmp_path: Path) -> None:
    written = log(tmp_path, largest=1000, count=3)
    for number in range(200):
        written.write(f"line {number}\n".encode())
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["a.log", "a.log.1", "a.log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    together = [line for name in reversed(files) for line in plain(tmp_path / name)]
    assert together == [f"line {number}" for number in range(200 - len(together), 200)]


def test_a_log_goes_on_where_an_earlier_run_ended(tmp_path: Path) -> None:
    log(tmp_path, largest=100).write(b"a" * 50 + b"\n")
    log(tmp_path, largest=100).write(b"b" * 50 + b"\n")
    assert plain(tmp_path / "a.log.1") == ["a" * 50]
    assert plain(tmp_path / "a.log") == ["b" * 50]


@given(st.data())
def test_a_secret_is_never_written_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = f"the key is {KEY}, I said {KEY}\n{KEY}\n" + "y" * 100
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    directory = tmp_path_factory.mktemp("secret")
    written = log(directory, KEY)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        written.write(text[start:end].encode())
    written.close()
    assert KEY not in (directory / "a.log").read_text(encoding="utf-8")
    assert plain(directory / "a.log")[1] == "[redacted]"
    assert not any(KEY.encode() in line for line in written.last)


def test_a_secret_in_an_endless_line_is_not_written_either(tmp_path: Path) -> None:
    """A line that never ends is cut, and not in the middle of a key."""
    written = log(tmp_path, KEY, largest=10**7)
    written.write(b"x" * 65530 + KEY[:9].encode())
    written.write(KEY[9:].encode() + b"z" * 70000)
    written.close()
    text = "".join(plain(tmp_path / "a.log"))
    assert KEY not in text
    assert text == "x" * 65530 + "[redacted]" + "z" * 70000


def test_what_is_too_short_for_a_key_blackens_nothing(tmp_path: Path) -> None:
    """A dummy key must not make the log unreadable."""
    written = log(tmp_path, "a")
    written.write(b"a banana\n")
    assert plain(tmp_path / "a.log") == ["a banana"]


def test_the_last_lines_are_kept_for_error_messages(tmp_path: Path) -> None:
    written = log(tmp_path)
    written.write("".join(f"{number}\n" for number in range(100)).encode())
    written.write(b"the end")
    written.flush()
    assert written.last == [*(str(number).encode() for number in range(100 - LAST_LINES + 1, 100)), b"the end"]


def test_a_full_disk_loses_lines_and_not_the_service(tmp_path: Path) -> None:
    written = LogFile("/dev/full", clock=lambda: NOW)
    written.write(b"one\n")
    assert written.last == [b"one"]
    lost = LogFile(str(tmp_path / "missing" / "a.log"), clock=lambda: NOW)
    lost.write(b"two\n")
    assert lost.last == [b"two"]


def test_a_lot_of_output_is_taken_in_pieces(tmp_path: Path) -> None:
    """Not line by line: a service that prints 100 MB must not keep the supervisor from its work."""
    written = LogFile(str(tmp_path / "a.log"), clock=lambda: NOW)
    chunk = (b"x" * 99 + b"\n") * 650
    for _ in range(400):
        written.write(chunk)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5 * 10 * 1024 * 1024


def opened(path: Path, largest: int = 10_000) -> LogFile:
    """Give a log that has one line and an open file."""
    path.parent.mkdir(exist_ok=True)
    written = log(path.parent, largest=largest)
    written.write(b"first\n")
    return written


def replace(path: Path) -> None:
    """Move a log away and make another, as logrotate does."""
    path.rename(path.with_name("old"))
    path.touch(0o600)


@pytest.mark.parametrize("take_away", [Path.unlink, lambda path: path.rename(path.with_name("old")), replace])
def test_a_log_that_was_taken_away_goes_on_in_a_new_file(tmp_path: Path, take_away: Callable[[Path], None]) -> None:
    """The file that logrotate has moved gets no more lines."""
    path, old = tmp_path / "a.log", tmp_path / "old"
    written = opened(path)
    take_away(path)
    written.write(b"second\n")
    assert plain(path) == ["second"]
    assert not old.exists() or plain(old) == ["first"]


def test_a_log_that_was_emptied_is_rotated_by_its_real_size(tmp_path: Path) -> None:
    """As logrotate's copytruncate empties it: what was cut off counts no more."""
    log = opened(tmp_path / "a.log", largest=100)
    log.write(b"x" * 40 + b"\n")
    (tmp_path / "a.log").write_bytes(b"")
    log.write(b"second\n")
    assert plain(tmp_path / "a.log") == ["second"]
    assert not (tmp_path / "a.log.1").exists()


def test_a_folder_of_logs_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    log = opened(tmp_path / "logs" / "a.log")
    shutil.rmtree(tmp_path / "logs")
    log.write(b"second\n")
    assert plain(tmp_path / "logs" / "a.log") == ["second"]
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_a_home_that_was_removed_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    log = opened(tmp_path / "home" / "logs" / "a.log")
    shutil.rmtree(tmp_path / "home")
    log.write(b"second\n")
    log.close()
    assert not (tmp_path / "home").exists()
