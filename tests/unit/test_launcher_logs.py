"""The view of the logs: it shows them in the order of time, and follows them."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stigmer_launcher.cli.commands.logs import Entry, Tail, logs, merge
from stigmer_launcher.cli.parse import Invocation, parse
from stigmer_launcher.cli.terminal import Context, Terminal
from stigmer_launcher.errors import UsageError
from stigmer_launcher.supervise.logfile import STAMP_SIZE, LogFile, log_path, stamped

ROOT = Path(__file__).parents[2]
NOW = 1795370462.345


def entry(second: int, service: str, text: str) -> Entry:
    return Entry(stamped(second), service, text.encode())


def test_services_are_shown_in_the_order_of_time() -> None:
    """And of each as many lines as fit into the last ones of all."""
    one, two = [entry(1, "a", "x"), entry(3, "a", "z")], [entry(2, "b", "y")]
    assert [each.text for each in merge([one, two], 2)] == [b"y", b"z"]
    assert [each.text for each in merge([one, two], None)] == [b"x", b"y", b"z"]
    assert merge([one, two], 0) == []


def write_log(directory: Path, service: str, lines: list[str], largest: int = 10_000) -> LogFile:
    """Write a service's log, a second for each line."""
    directory.mkdir(exist_ok=True)
    seconds = iter(range(1000))
    written = LogFile(log_path(str(directory), service), clock=lambda: next(seconds), largest=largest)
    for line in lines:
        written.write(line.encode() + b"\n")
    return written


def test_the_last_lines_reach_back_into_rotated_files(tmp_path: Path) -> None:
    """A rotation a moment ago must not leave the view empty."""
    write_log(tmp_path, "a", [f"line {number}" for number in range(100)], largest=1000)
    assert (tmp_path / "a.log.1").exists()
    tail = Tail("a", log_path(str(tmp_path), "a"))
    assert [each.text.decode() for each in tail.last(60)] == [f"line {number}" for number in range(40, 100)]


def test_following_goes_on_through_a_rotation(tmp_path: Path) -> None:
    """To the end of the file that was renamed, then from the beginning of the new one; nothing twice, nothing lost."""
    written = write_log(tmp_path, "a", ["old"])
    tail = Tail("a", log_path(str(tmp_path), "a"))
    assert [each.text for each in tail.last(10)] == [b"old"]
    assert tail.more() == []
    written._largest = 500  # noqa: SLF001 - so that it rotates now
    seen = []
    for number in range(100):
        written.write(f"line {number}\n".encode())
        if number % 7 == 0:
            seen += [each.text.decode() for each in tail.more()]
    seen += [each.text.decode() for each in tail.more()]
    assert seen == [f"line {number}" for number in range(100)]


def test_following_begins_again_when_a_file_was_cut_short(tmp_path: Path) -> None:
    """Somebody emptied it by hand."""
    path = tmp_path / "a.log"
    path.write_text("one\ntwo\nthree\n", encoding="utf-8")
    tail = Tail("a", str(path))
    tail.last(1)
    os.truncate(path, 0)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("new\n")
    assert [each.text for each in tail.more()] == [b"new"]


def test_following_waits_for_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    tail = Tail("a", log_path(str(tmp_path), "a"))
    assert tail.last(10) == []
    assert tail.more() == []
    write_log(tmp_path, "a", ["first"])
    assert [each.text for each in tail.more()] == [b"first"]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("whole\nhal", encoding="utf-8")
    tail = Tail("a", str(path))
    assert [each.text for each in tail.last(10)] == [b"whole"]
    with path.open("a", encoding="utf-8") as stream:
        stream.write("f\n")
    assert [each.text for each in tail.more()] == [b"half"]


def shown(home: Path, *arguments: str, live: bool = False) -> str:
    """Run the command, and give what it printed."""
    out = io.StringIO()
    terminal = Terminal(out, live=live, colour=live, unicode=live)
    invocation = parse(["server", "logs", *arguments])
    assert isinstance(invocation, Invocation)
    logs(invocation, Context({"STIGMER_HOME": str(home)}, terminal, terminal))
    return out.getvalue()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a home with the logs of two services."""
    write_log(tmp_path / "logs", "one", ["1", "2", "3"])
    write_log(tmp_path / "logs", "two", ["A", "B", "C"])
    return tmp_path


def test_a_pipe_gets_each_line_after_the_name_of_its_service(home: Path) -> None:
    """So that `grep` tells who said it; a single service's lines come alone."""
    assert shown(home).splitlines() == ["one | 1", "two | A", "one | 2", "two | B", "one | 3", "two | C"]
    assert shown(home, "-n", "2").splitlines() == ["one | 3", "two | C"]
    assert shown(home, "--lines=all", "--service", "two").split() == ["A", "B", "C"]


def test_services_are_named_with_or_without_the_option(home: Path) -> None:
    assert shown(home, "two").split() == ["A", "B", "C"]
    assert shown(home, "two", "-s", "two", "-n", "1").split() == ["C"]
    assert sorted(shown(home, "two", "one", "-n", "2").splitlines()) == ["one | 3", "two | C"]


def test_a_terminal_gets_the_names_in_colour(home: Path) -> None:
    assert "\033[36mone | \033[0m1\n" in shown(home, live=True)
    assert shown(home, "-s", "one", live=True).split() == ["1", "2", "3"]


def test_a_log_file_holds_the_bytes_as_they_were_printed(tmp_path: Path) -> None:
    """Colours, progress, emoji, and what is no UTF-8; the view escapes the last."""
    (tmp_path / "logs").mkdir()
    printed = b"\x1b[32m\xf0\x9f\xa4\x96\x1b[0m\n10%\r100%\r\n\xff\xc3 \xe2\x82\n"
    written = LogFile(log_path(str(tmp_path / "logs"), "a"), clock=lambda: NOW)
    written.write(printed)
    written.close()
    lines = (tmp_path / "logs" / "a.log").read_bytes().split(b"\n")
    assert b"\n".join(line[STAMP_SIZE:] for line in lines) == printed
    assert shown(tmp_path) == "\N{ROBOT FACE}\n100%\n\\xff\\xc3 \\xe2\\x82\n"


def test_a_progress_line_in_a_rotated_file_is_one_line(tmp_path: Path) -> None:
    write_log(tmp_path / "logs", "a", ["10%\r100%", "second", "third"], largest=80)
    assert (tmp_path / "logs" / "a.log.1").exists()
    assert shown(tmp_path, "-n", "10").splitlines() == ["100%", "second", "third"]


class CountedBlock(bytes):
    """Counts the bytes that are looked at or copied; joining blocks copies each once and is not counted."""

    work = 0

    def count(self, *arguments: Any) -> int:
        """Count, and note the work."""
        CountedBlock.work += len(self)
        return super().count(*arguments)

    def __add__(self, other: Any) -> "CountedBlock":
        """Copy, and note the work."""
        CountedBlock.work += len(self) + len(other)
        return CountedBlock(super().__add__(other))


class CountedReads:
    """Counts what is read with `os.pread`, in place of it, and what is done with it."""

    def __init__(self) -> None:
        self.size = 0
        self._pread = os.pread

    def __call__(self, descriptor: int, size: int, place: int) -> bytes:
        """Read, and count."""
        self.size += size
        return CountedBlock(self._pread(descriptor, size, place))


def test_the_end_of_a_long_log_is_read_without_the_rest_and_each_byte_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each block was put before all that had been read, and all of it counted again."""
    write_log(tmp_path / "logs", "a", ["x" * 9000] * 900, largest=10**8)
    reads = CountedReads()
    monkeypatch.setattr(os, "pread", reads)
    monkeypatch.setattr(CountedBlock, "work", 0)
    assert len(shown(tmp_path, "-n", "500").splitlines()) == 500
    assert reads.size < 4_700_000
    assert CountedBlock.work <= reads.size


def test_stamps_are_shown_on_request(home: Path) -> None:
    assert shown(home, "-t", "-n", "1") == "two | 1970-01-01T00:00:02.000Z C\n"


def test_an_unknown_service_is_refused_with_those_there_are(home: Path) -> None:
    """Upstream ignored the name and showed everything."""
    with pytest.raises(UsageError, match=r"no log of three.*one, two"):
        shown(home, "--service", "three")
    with pytest.raises(UsageError, match="expected a number or `all`"):
        shown(home, "-n", "many")


def test_a_home_without_logs_shows_nothing(tmp_path: Path) -> None:
    assert shown(tmp_path) == ""
    assert not (tmp_path / "logs").exists()


def following(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Follow the logs in a process of its own."""
    command = [sys.executable, "-S", "-m", "stigmer_launcher", "server", "logs", "-f", *arguments]
    environment = {"PYTHONPATH": str(ROOT / "launcher"), "STIGMER_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_following_ends_when_nobody_reads_any_more(home: Path) -> None:
    """`logs -f | head -1` ends although no further line is printed."""
    with following(home, "one", "-n", "1") as process:
        assert process.stdout
        assert process.stdout.readline() == "3\n"
        process.stdout.close()
        assert process.wait(timeout=30) == 0


def test_following_shows_a_service_whose_log_appears_later(home: Path) -> None:
    """Also one that nothing has named before."""
    with following(home, "-n", "1") as process:
        assert process.stdout
        assert process.stdout.readline() == "two | C\n"
        write_log(home / "logs", "another", ["first"])
        assert process.stdout.readline() == "another | first\n"
        process.stdout.close()
        assert process.wait(timeout=30) == 0


def test_following_misses_nothing_when_a_log_is_rotated_twice_between_two_looks(tmp_path: Path) -> None:
    written = write_log(tmp_path, "a", ["old"], largest=60)
    tail = Tail("a", log_path(str(tmp_path), "a"))
    tail.last(10)
    for number in range(3):
        written.write(f"line {number} {'x' * 20}\n".encode())
    assert (tmp_path / "a.log.2").exists()
    assert [each.text.split()[1] for each in tail.more()] == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("1970-01-01T00:00:01Z", ["one | 2", "two | B", "one | 3", "two | C"]),
        ("1970-01-01T00:00:01.500+00:00", ["one | 3", "two | C"]),
        ("1970-01-01T01:00:02+01:00", ["one | 3", "two | C"]),
        ("10m", []),
    ],
)
def test_only_lines_since_a_time_are_shown(home: Path, since: str, expected: list[str]) -> None:
    assert shown(home, "--since", since).splitlines() == expected


def test_all_lines_since_a_time_are_shown_unless_their_number_is_given(tmp_path: Path) -> None:
    """Reaching back into rotated files, but not further than needed."""
    write_log(tmp_path / "logs", "a", [str(number) for number in range(100)], largest=1000)
    assert shown(tmp_path, "--since", "1970-01-01T00:00:20Z").split() == [str(number) for number in range(20, 100)]
    assert shown(tmp_path, "--since", "1970-01-01T00:00:20Z", "-n", "2").split() == ["98", "99"]


def test_a_time_without_a_zone_is_local(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-3")
    time.tzset()
    try:
        assert shown(home, "--since", "1970-01-01T03:00:02").splitlines() == ["one | 3", "two | C"]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["yesterday", "10", "m", "-1h", "2026-13-01", "\u0661m"])
def test_a_time_that_is_none_is_refused(home: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"for --since: expected a duration"):
        shown(home, "--since", text)
