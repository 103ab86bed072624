"""`stigmer server logs`: the last lines of the services, merged by time, then new ones, across rotations."""

import contextlib
import functools
import io
import itertools
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.cli.commands.logs import Entry, Tail, logs
from stigmer_launcher.cli.parse import Invocation, parse
from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.errors import UsageError
from stigmer_launcher.supervise.logfile import LogFile, log_path
from support.launcher_services import read_line
from support.mounts import can_mount

ROOT = Path(__file__).parents[2]
NUMBERS = [str(number) for number in range(100)]


def write_log(home: Path, service: str, lines: list[str], max_bytes: int = 10_000) -> LogFile:
    """Write the log of a service, with one second between two lines."""
    seconds = iter(range(1000))
    log_file = LogFile(log_path(str(home / "logs"), service), clock=lambda: next(seconds))
    log_file.max_bytes = max_bytes
    for line in lines:
        log_file.write(line.encode() + b"\n")
    return log_file


def shown(home: Path, *arguments: str, live: bool = False) -> str:
    out = io.StringIO()
    terminal = Terminal(out, live=live, colour=live, unicode=live)
    invocation = parse(["server", "logs", *arguments])
    assert isinstance(invocation, Invocation)
    logs(invocation, Context({"STIGMER_HOME": str(home)}, terminal, terminal))
    return out.getvalue()


def tail_of(home: Path) -> Tail:
    return Tail("a", str(home / "logs"))


def texts(entries: list[Entry]) -> list[str]:
    return [entry.text.decode() for entry in entries]


def test_each_log_keeps_its_order_although_the_clock_was_set_back(tmp_path: Path) -> None:
    """As on a machine that boots with a wrong clock: each service prints once before it is set, and once after."""
    for name, times in {"one": (7200, 20), "two": (7300, 10)}.items():
        log_file = LogFile(log_path(str(tmp_path / "logs"), name), clock=functools.partial(next, iter(times)))
        for line in ("before", "after"):
            log_file.write(f"{line}\n".encode())
    assert shown(tmp_path).splitlines() == ["two | before", "two | after", "one | before", "one | after"]
    assert shown(tmp_path, "-n", "1") == "one | after\n"
    assert shown(tmp_path, "one").splitlines() == ["before", "after"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with the logs of two services."""
    write_log(tmp_path, "one", ["1", "2", "3"])
    write_log(tmp_path, "two", ["A", "B", "C"])
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ((), ["one | 1", "two | A", "one | 2", "two | B", "one | 3", "two | C"]),
        (("-n", "3"), ["two | B", "one | 3", "two | C"]),
        (("-n", "0"), []),
        (("-t", "-n", "1"), ["two | 1970-01-01T00:00:02.000Z C"]),
        (("--lines=all", "--service", "two"), ["A", "B", "C"]),
        (("two",), ["A", "B", "C"]),
        (("two", "-s", "two", "-n", "1"), ["C"]),
        (("two", "one", "-n", "2"), ["two | C", "one | 3"]),
        (("--since", "1970-01-01T00:00:01Z"), ["one | 2", "two | B", "one | 3", "two | C"]),
        (("--since", "1970-01-01T00:00:01.500+00:00"), ["one | 3", "two | C"]),
        (("--since", "1970-01-01T01:00:02+01:00"), ["one | 3", "two | C"]),
        (("--since", "10m"), []),
    ],
)
def test_lines_are_selected_by_options_and_sorted_by_time(
    home: Path, arguments: tuple[str, ...], lines: list[str]
) -> None:
    """Each has the name of its service as a prefix, also for `grep`; the lines of a single service have none."""
    assert shown(home, *arguments).splitlines() == lines


def test_a_terminal_shows_the_service_names_in_colour(home: Path) -> None:
    assert "\033[36mone | \033[0m1\n" in shown(home, live=True)
    assert shown(home, "-s", "one", live=True).split() == ["1", "2", "3"]


def test_a_time_without_a_zone_is_local_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-3")
    time.tzset()
    try:
        assert shown(home, "--since", "1970-01-01T03:00:02").splitlines() == ["one | 3", "two | C"]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--service", "three"), r"no log of three.*one, two"),
        (("-n", "many"), "for --lines: expected a number or `all`"),
        *(
            (("--since", text), "for --since: expected a duration")
            for text in ("yesterday", "10", "m", "-1h", "2026-13-01", "\u0661m")
        ),
    ],
)
def test_invalid_options_of_logs_are_refused(home: Path, arguments: tuple[str, ...], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        shown(home, *arguments)


def test_directories_and_fifos_are_not_logs(home: Path) -> None:
    """A directory cannot be read, and opening a FIFO without a writer blocks."""
    (home / "logs" / "old.log").mkdir()
    os.mkfifo(home / "logs" / "pipe.log")
    assert not {"old", "pipe"} & {line.split()[0] for line in shown(home).splitlines()}


def test_a_home_without_logs_shows_nothing(tmp_path: Path) -> None:
    assert shown(tmp_path) == ""
    assert not (tmp_path / "logs").exists()


def test_the_last_lines_reach_back_into_rotated_files(tmp_path: Path) -> None:
    """With `--since`, all lines from then on are shown, unless `-n` limits their number."""
    write_log(tmp_path, "a", NUMBERS, max_bytes=1000)
    assert (tmp_path / "logs" / "a.log.1").exists()
    assert shown(tmp_path, "-n", "60").split() == NUMBERS[40:]
    assert shown(tmp_path, "--since", "1970-01-01T00:00:20Z").split() == NUMBERS[20:]
    assert shown(tmp_path, "--since", "1970-01-01T00:00:20Z", "-n", "2").split() == NUMBERS[98:]


def test_a_missing_rotated_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write_log(tmp_path, "a", NUMBERS, max_bytes=1000)
    kept = [file.read_text().split()[1::2] for file in (tmp_path / "logs/a.log.2", tmp_path / "logs/a.log")]
    (tmp_path / "logs/a.log.1").unlink()
    assert shown(tmp_path, "-n", "all").split() == [*kept[0], *kept[1]]


def test_a_progress_line_in_a_rotated_file_counts_as_one_line(tmp_path: Path) -> None:
    write_log(tmp_path, "a", ["10%\r100%", "second", "third"], max_bytes=80)
    assert (tmp_path / "logs" / "a.log.1").exists()
    assert shown(tmp_path, "-n", "10").splitlines() == ["100%", "second", "third"]


class CountedBlock(bytes):
    """Counts the bytes that are searched or copied; joining blocks copies each byte once and is not counted."""

    work = 0

    def count(self, *arguments: Any) -> int:
        """Count as bytes.count does, and record the number of bytes searched."""
        CountedBlock.work += len(self)
        return super().count(*arguments)

    def __add__(self, other: Any) -> "CountedBlock":
        CountedBlock.work += len(self) + len(other)
        return CountedBlock(super().__add__(other))


def test_only_the_end_of_a_long_log_is_read_and_each_byte_is_searched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block was once prepended to everything already read, and all of it was counted again."""
    write_log(tmp_path, "a", ["x" * 9000] * 900, max_bytes=10**8)
    sizes: list[int] = []
    pread = os.pread

    def counted(*place: int) -> bytes:
        block = pread(*place)
        sizes.append(len(block))
        return CountedBlock(block)

    monkeypatch.setattr(os, "pread", counted)
    monkeypatch.setattr(CountedBlock, "work", 0)
    assert len(shown(tmp_path, "-n", "500").splitlines()) == 500
    assert sum(sizes) < 4_700_000
    assert CountedBlock.work <= sum(sizes)


def test_a_long_line_is_read_in_blocks_of_doubling_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block was once appended to everything before it: a line of 30 MB took 22 s."""
    write_log(tmp_path, "a", ["x" * 8_000_000], max_bytes=10**8)
    sizes: list[int] = []
    read = os.read

    def counted(descriptor: int, size: int) -> bytes:
        block = read(descriptor, size)
        sizes.append(len(block))
        return block

    monkeypatch.setattr(os, "read", counted)
    (line,) = tail_of(tmp_path).last(10)
    assert len(line.text) == 8_000_000
    assert len([size for size in sizes if size]) < 12


def test_following_waits_for_a_log_and_continues_across_rotations(tmp_path: Path) -> None:
    """It reads the renamed file to its end, then the new one from its start: no line is lost or repeated."""
    tail = tail_of(tmp_path)
    assert tail.last(10) == tail.more() == []
    log_file = write_log(tmp_path, "a", ["old"])
    assert texts(tail.more()) == ["old"]
    log_file.max_bytes = 500  # so that it rotates now
    received = []
    for number in NUMBERS:
        log_file.write(f"line {number}\n".encode())
        if int(number) % 7 == 0:
            received += texts(tail.more())
    assert [*received, *texts(tail.more())] == [f"line {number}" for number in NUMBERS]


def test_following_misses_nothing_when_a_log_is_rotated_twice_between_two_reads(tmp_path: Path) -> None:
    log_file = write_log(tmp_path, "a", ["old"], max_bytes=60)
    tail = tail_of(tmp_path)
    tail.last(10)
    for number in range(3):
        log_file.write(f"line {number} {'x' * 20}\n".encode())
    assert (tmp_path / "logs" / "a.log.2").exists()
    assert [text.split()[1] for text in texts(tail.more())] == ["0", "1", "2"]


def test_following_returns_although_the_log_grows_by_a_file_during_each_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would print nothing and use more and more memory."""
    log_file = write_log(tmp_path, "a", ["old"], max_bytes=1)
    tail = tail_of(tmp_path)
    tail.last(1)
    growths, lseek = iter([b"x\n" * 20_000] * 20), os.lseek

    def grown(*place: int) -> int:
        for text in itertools.islice(growths, 1):
            log_file.write(text)
        return lseek(*place)

    monkeypatch.setattr(os, "lseek", grown)
    assert tail.more() == []
    assert [len(tail.more()) for _ in range(21)] == [*[20_000] * 20, 0]


@pytest.mark.parametrize("call", ["builtins.open", "os.read", "os.fstat", "os.path.sameopenfile"])
@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_following_misses_no_line_that_is_written_just_before_a_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, earlier: int
) -> None:
    """For a rotation just before any system call, and for any number of rotations since the last read."""
    log_file = write_log(tmp_path, "a", ["first"])
    tail = tail_of(tmp_path)
    assert texts(tail.last(9)) == ["first"]
    lines: list[str] = []

    def rotate() -> None:
        for max_bytes, text in ((10_000, "last of its file"), (1, "first of the next")):
            log_file.max_bytes = max_bytes
            lines.append(f"{len(lines)} {text}")
            log_file.write(lines[-1].encode() + b"\n")

    for _ in range(earlier):
        rotate()
    calls, original = iter(range(1, 100)), pkgutil.resolve_name(call)

    def rotated_before(*arguments: Any, **options: Any) -> Any:
        if next(calls) == number:
            monkeypatch.undo()
            rotate()
        return original(*arguments, **options)

    monkeypatch.setattr(call, rotated_before)
    received = [text for _ in range(6) for text in texts(tail.more())]
    assert len(received) == 2 * (earlier + 1)
    assert received == lines


def test_following_shows_complete_lines_and_starts_over_when_a_file_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("whole\nhal", encoding="utf-8")
    tail = Tail("a", str(tmp_path))
    assert texts(tail.last(10)) == ["whole"]
    with path.open("a", encoding="utf-8") as stream:
        stream.write("f\n")
    assert texts(tail.more()) == ["half"]
    path.write_text("new\n", encoding="utf-8")
    assert texts(tail.more()) == ["new"]


def following(home: Path, *arguments: str, container: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*container, sys.executable, "-S", "-m", "stigmer_launcher", "server", "logs", "-f", *arguments]
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT / "launcher"), "STIGMER_HOME": str(home)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_an_interrupt_ends_following_without_an_error(home: Path) -> None:
    """Ctrl-C is the normal way to leave it."""
    with following(home, "one") as process:
        assert [read_line(process) for _ in range(3)] == ["1\n", "2\n", "3\n"]
        write_log(home, "one", ["4"])
        assert read_line(process) == "4\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_sigterm_ends_following_in_a_container(home: Path) -> None:
    """The kernel discards signals for which process 1 has no handler, and `docker stop` waits ten seconds."""
    if not can_mount():
        pytest.skip("this machine does not let us create a namespace (unshare)")
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    unshare = ("unshare", *user, "--pid", "--fork", "--kill-child")
    container = (*unshare, "sh", "-c", 'exec 3<&0; (read _ <&3; kill 1) & exec "$@"', "sh")
    with following(home, "one", container=container) as process:
        assert [read_line(process) for _ in range(3)] == ["1\n", "2\n", "3\n"]
        write_log(home, "one", ["4"])
        assert read_line(process) == "4\n"
        try:
            assert process.communicate("now\n", timeout=30) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 0


def test_following_shows_a_log_that_appears_later_and_ends_when_the_reader_has_gone(home: Path) -> None:
    """`logs -f | head -1` ends although no further line is printed."""
    with following(home, "-n", "1") as process:
        assert process.stdout
        assert process.stdout.readline() == "two | C\n"
        write_log(home, "another", ["first"])
        assert process.stdout.readline() == "another | first\n"
        process.stdout.close()
        assert process.wait(timeout=30) == 0


POLL = select.poll


class MacPoll:
    """poll(2) of macOS (xnu's sys_generic.c): reports nothing if no events are requested, and a half-closed socket as hung up."""

    def __init__(self) -> None:
        self.poll_object = POLL()

    def register(self, descriptor: int, events: int) -> None:
        """Watch a descriptor if events are requested, also for the peer closing its writing half."""
        if events:
            self.poll_object.register(descriptor, events | getattr(select, "POLLRDHUP", 0))

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Report every event as a hang-up."""
        return [(descriptor, select.POLLHUP) for descriptor, _ in self.poll_object.poll(timeout)]


def count_polls_while_following(home: Path, output: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Follow the logs; return how often the output was polled for a reader, three times if following did not end."""
    polls = iter([MacPoll(), MacPoll(), MacPoll()])
    monkeypatch.setattr(select, "poll", polls.__next__)
    with open(output, "w", encoding="utf-8") as stream:
        terminal = Terminal(stream, live=False, colour=False, unicode=False)
        with contextlib.suppress(StopIteration):
            assert (
                logs(parse(["server", "logs", "--follow"]), Context({"STIGMER_HOME": str(home)}, terminal, terminal))
                == 0
            )
    return 3 - len(list(polls))


def test_on_macos_following_ends_when_the_reader_of_a_pipe_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert count_polls_while_following(tmp_path, writer, monkeypatch) == 1


def test_on_macos_following_continues_over_a_half_closed_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be sshd's, whose client sends nothing but still reads."""
    ours, its = socket.socketpair()
    with its:
        its.shutdown(socket.SHUT_WR)
        assert count_polls_while_following(tmp_path, ours.detach(), monkeypatch) == 3


class StreamWithoutReader(io.StringIO):
    """A stream whose reader is gone after the first line."""

    def write(self, text: str) -> int:
        """Accept the first line and fail at the second, like a pipe without a reader."""
        if self.getvalue():
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("arguments", [["-n", "all"], ["-n", "all", "-f"]])
def test_printing_ends_when_the_reader_has_gone(home: Path, arguments: list[str]) -> None:
    """`logs -n all | head -1` must not take the time and memory for all lines of a large log."""
    out = StreamWithoutReader()
    terminal = Terminal(out, live=False, colour=False, unicode=False)
    assert logs(parse(["server", "logs", *arguments]), Context({"STIGMER_HOME": str(home)}, terminal, terminal)) == 0
    assert out.getvalue() == "one | 1\n"
    assert isinstance(terminal.failure, BrokenPipeError)
