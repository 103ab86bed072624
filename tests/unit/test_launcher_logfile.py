"""Service logs: time stamps, rotation, redacted secrets, and no lost lines when other programs change the file."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.supervise.logfile import LAST_LINES, STAMP_SIZE, LogFile, timestamp

STAMP = "2026-11-22T18:01:02.345Z "
NOW = 1795370462.345
KEY = "sk-ant-0123456789"


def plain(path: Path) -> list[str]:
    """Return a log's lines without their stamps."""
    return [line[STAMP_SIZE:] for line in path.read_text(encoding="utf-8").splitlines()]


def log(tmp_path: Path, *secrets: str, max_bytes: int = 10_000) -> LogFile:
    """Return a log whose clock stands still."""
    log_file = LogFile(str(tmp_path / "a.log"), secrets, clock=lambda: NOW)
    log_file.max_bytes, log_file.count = max_bytes, 3
    return log_file


def test_each_line_begins_with_its_time_and_only_the_owner_can_read_the_log(tmp_path: Path) -> None:
    log(tmp_path).write(b"one\ntwo\n")
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == f"{STAMP}one\n{STAMP}two\n"
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600
    assert timestamp(0.0) == b"1970-01-01T00:00:00.000Z "


def test_a_line_is_written_when_it_is_complete_or_the_service_has_ended(tmp_path: Path) -> None:
    log_file = log(tmp_path)
    log_file.write(b"on")
    log_file.write(b"e\ntw")
    assert plain(tmp_path / "a.log") == ["one"]
    log_file.flush()
    assert plain(tmp_path / "a.log") == ["one", "tw"]
    log_file.write(b"of the next process\n")
    assert plain(tmp_path / "a.log") == ["one", "tw", "of the next process"]


def test_a_log_is_rotated_by_size_and_count(tmp_path: Path) -> None:
    log_file = log(tmp_path, max_bytes=1000)
    for number in range(200):
        log_file.write(f"line {number}\n".encode())
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["a.log", "a.log.1", "a.log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    together = [line for name in reversed(files) for line in plain(tmp_path / name)]
    assert together == [f"line {number}" for number in range(200 - len(together), 200)]


def test_a_new_run_appends_to_the_log_of_an_earlier_one(tmp_path: Path) -> None:
    """The size of the existing file counts towards the rotation."""
    log(tmp_path, max_bytes=100).write(b"a" * 50 + b"\n")
    log(tmp_path, max_bytes=100).write(b"b" * 50 + b"\n")
    assert plain(tmp_path / "a.log.1") == ["a" * 50]
    assert plain(tmp_path / "a.log") == ["b" * 50]


@given(st.data())
def test_a_secret_is_redacted_however_the_output_is_split_into_chunks(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = f"the key is {KEY}, I said {KEY}\n{KEY}\n" + "y" * 100
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    directory = tmp_path_factory.mktemp("secret")
    log_file = log(directory, KEY)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        log_file.write(text[start:end].encode())
    log_file.flush()
    assert KEY not in (directory / "a.log").read_text(encoding="utf-8")
    assert plain(directory / "a.log")[1] == "[redacted]"
    assert not any(KEY.encode() in line for line in log_file.last)


def test_an_endless_line_is_not_cut_in_the_middle_of_a_key(tmp_path: Path) -> None:
    log_file = log(tmp_path, KEY, max_bytes=10**7)
    log_file.write(b"x" * 65530 + KEY[:9].encode())
    log_file.write(KEY[9:].encode() + b"z" * 70000)
    assert (tmp_path / "a.log").stat().st_size > 60_000, "it would fill the memory"
    log_file.flush()
    assert "".join(plain(tmp_path / "a.log")) == "x" * 65530 + "[redacted]" + "z" * 70000


def test_a_key_that_is_not_utf_8_is_redacted_too(tmp_path: Path) -> None:
    """The environment holds bytes; Python represents those that are not UTF-8 as surrogates."""
    key = b"\xff\xfe" + KEY.encode()
    log(tmp_path, os.fsdecode(key)).write(b"the key is " + key + b"\n")
    assert plain(tmp_path / "a.log") == ["the key is [redacted]"]


def test_a_dummy_key_is_too_short_to_be_redacted(tmp_path: Path) -> None:
    log(tmp_path, "a").write(b"a banana\n")
    assert plain(tmp_path / "a.log") == ["a banana"]


def test_the_last_lines_are_kept_for_error_messages(tmp_path: Path) -> None:
    log_file = log(tmp_path)
    log_file.write("".join(f"{number}\n" for number in range(100)).encode())
    log_file.write(b"the end")
    log_file.flush()
    assert log_file.last == [*(str(number).encode() for number in range(100 - LAST_LINES + 1, 100)), b"the end"]


@pytest.mark.parametrize("reason", [b"panic: nil map", b"fatal error: all goroutines are asleep - deadlock!"])
def test_the_reason_of_a_panic_is_kept_although_its_stack_is_long(tmp_path: Path, reason: bytes) -> None:
    """For any chunk size. Go prints the reason above the stacks, and the stack of the failing goroutine first."""
    stack = [b"\t/src/file.go:%d" % number for number in range(3 * LAST_LINES)]
    for size in (7, 300, 10_000):
        log_file = log(tmp_path)
        text = b"\n".join([*[b"before"] * 30, b"no panic: here", reason, b"", b"goroutine 1 [running]:", *stack, b""])
        for start in range(0, len(text), size):
            log_file.write(text[start : start + size])
        assert log_file.end() == [reason, b"", b"goroutine 1 [running]:", *stack[: LAST_LINES - 3]]
        log_file.write(b"\n".join([*[b"after"] * LAST_LINES, b""]))
        assert log_file.end() == [b"after"] * LAST_LINES, "the service went on: the panic was another program's"


def test_a_write_error_loses_lines_but_does_not_stop_the_service(tmp_path: Path) -> None:
    for path in ("/dev/full", str(tmp_path / "missing" / "logs" / "a.log")):
        log_file = LogFile(path)
        log_file.write(b"one\n")
        assert log_file.last == [b"one"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: path.rename(path.with_name("old")), id="moved, as logrotate does"),
        pytest.param(
            lambda path: (path.rename(path.with_name("old")), path.touch(0o600)), id="replaced, as logrotate does"
        ),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied, as logrotate's copytruncate does"),
        pytest.param(lambda path: shutil.rmtree(path.parent), id="removed with its folder"),
    ],
)
def test_a_log_continues_at_its_path_when_other_programs_change_the_file(
    tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    """A file that was moved away gets no more lines, and its size no longer counts towards the rotation."""
    path = tmp_path / "logs" / "a.log"
    log_file = log(path.parent, max_bytes=100)
    log_file.write(b"x" * 50 + b"\n")
    change(path)
    log_file.write(b"second\n")
    assert plain(path) == ["second"]
    assert not (path.parent / "a.log.1").exists()
    assert all(plain(old) == ["x" * 50] for old in path.parent.glob("old"))
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_fifo_without_a_reader_loses_lines_but_does_not_block_the_supervisor(tmp_path: Path) -> None:
    """A log collector may have put a FIFO there. Opening it once blocked, uninterruptibly, until a reader came."""
    os.mkfifo(tmp_path / "a.log")
    log_file = log(tmp_path)
    log_file.write(b"one\n")
    reader = os.open(tmp_path / "a.log", os.O_RDONLY | os.O_NONBLOCK)
    log_file.write(b"two\n")
    assert os.read(reader, 100) == f"{STAMP}two\n".encode()
    os.close(reader)


def test_a_removed_home_is_not_created_again(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    log_file = log(tmp_path / "home" / "logs")
    log_file.write(b"first\n")
    shutil.rmtree(tmp_path / "home")
    log_file.write(b"second\n")
    log_file.flush()
    assert not (tmp_path / "home").exists()


def test_a_failed_close_neither_ends_the_log_nor_closes_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS, close(2) may report the error of an earlier write. The descriptor was closed again, even if reused."""
    log_file = log(tmp_path)
    log_file.write(b"one\n")
    (tmp_path / "a.log").unlink()
    with monkeypatch.context() as patched:

        def close(descriptor: int, close: Callable[[int], None] = os.close) -> None:
            close(descriptor)
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

        patched.setattr(os, "close", close)
        log_file.write(b"two\n")
    with (tmp_path / "other").open("w", encoding="utf-8") as other:
        log_file.write(b"three\n")
        log_file.write(b"four\n")
        other.write("whole")
    assert plain(tmp_path / "a.log") == ["three", "four"]
    assert (tmp_path / "other").read_text(encoding="utf-8") == "whole"
