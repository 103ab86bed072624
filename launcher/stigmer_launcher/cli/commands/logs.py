"""`stigmer server logs`: prints the last lines of the services' logs, merged by time, and follows them."""

import os
import select
import stat
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from itertools import accumulate, cycle
from typing import NamedTuple

from stigmer_launcher.cli.logtext import readable
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import PALETTE, Context, Terminal
from stigmer_launcher.config.schema import is_number
from stigmer_launcher.errors import UsageError
from stigmer_launcher.supervise.logfile import COUNT, STAMP_SIZE, log_path, timestamp
from stigmer_launcher.system.places import find_places

_POLL_INTERVAL = 0.1  # seconds, while following
_BLOCK = 65536
_MANY = 10_000  # lines, after which those of the next file are left for later: it may grow faster than it is read
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Entry(NamedTuple):
    """A line of a service's log. Stamps sort by time; a line without one has that of the line before."""

    stamp: bytes
    service: str
    text: bytes


def logs(invocation: Invocation, context: Context) -> int:
    """Print the last lines of all services, or of those named, and follow them if asked to."""
    directory = find_places(context.environ).logs
    named = (*invocation.arguments, *invocation.all_values("service"))
    since = _since(invocation.value("since"))
    count = _count(invocation.value("lines", "all" if since else "50"))
    stamps, follows = invocation.has("timestamps"), invocation.has("follow")
    tails = {name: Tail(name, directory) for name in _chosen(named, context, directory, follows=follows)}
    _print((tail.last(count, since) for tail in tails.values()), tails, context.out, count=count, stamps=stamps)
    with suppress(KeyboardInterrupt):
        while follows and not (context.out.failure or _wait_for_hangup(context.out.stream.fileno())):
            if not named:
                tails |= {name: Tail(name, directory) for name in sorted(_with_logs(directory) - tails.keys())}
            _print((tail.more() for tail in tails.values()), tails, context.out, count=sys.maxsize, stamps=stamps)
    return 0


def _wait_for_hangup(output: int) -> bool:
    """Wait for one pause; return whether the reader of our output has gone, which poll(2) reports for a pipe."""
    time.sleep(_POLL_INTERVAL)  # macOS's poll does not wait while there is anything to read
    poll = select.poll()
    # macOS's poll reports nothing for an empty mask, and a hang-up for a socket that is closed in one direction only.
    poll.register(output, select.POLLHUP if stat.S_ISFIFO(os.fstat(output).st_mode) else 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _chosen(named: Sequence[str], context: Context, directory: str, *, follows: bool) -> Iterable[str]:
    """Return the services to show: those named, else all that have a log and, to follow, those that may get one."""
    known = _with_logs(directory)
    if follows or not known.issuperset(named):
        from stigmer_launcher.cli.completion import names_of  # reads the keg's index, which is seldom needed

        known.update(names_of(context.environ).get("SERVICE", ()))
    if unknown := [name for name in named if name not in known]:
        problem = f"there is no log of {unknown[0]} in {directory}; there are {', '.join(sorted(known)) or 'none'}"
        raise UsageError(problem, "run `stigmer server logs`, which shows all of them")
    return named or sorted(known)


def _with_logs(directory: str) -> set[str]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        return {entry.name.removesuffix(".log") for entry in entries if entry.name.endswith(".log") and entry.is_file()}
    return set()


def _print(logs: Iterable[Sequence[Entry]], names: Collection[str], out: Terminal, *, count: int, stamps: bool) -> None:
    """Print the last `count` lines of these logs by time, each after its service's name if there are several `names`."""
    colours, width = cycle(PALETTE), max(map(len, names), default=0)
    prefixes = {name: out.paint(f"{name:<{width}} | ", next(colours)) if len(names) > 1 else "" for name in names}
    timed: list[tuple[bytes, Entry]] = []
    for log in logs:  # where the clock was set back, a line counts as no later than the next
        times = accumulate((entry.stamp for entry in reversed(log)), min)
        timed += zip(reversed([*times]), log, strict=True)
    timed.sort(key=lambda each: each[0])
    for _, entry in timed[max(0, len(timed) - count) :]:
        stamp = entry.stamp.decode() if stamps else ""
        out.write(f"{prefixes[entry.service]}{stamp}{readable(entry.text, colours=out.colour, stamp=not stamp)}\n")
        if out.failure:  # the reader has gone
            return


class Tail:
    """The end of one service's log: its last lines, then new ones, across rotations and before the file exists."""

    def __init__(self, service: str, directory: str) -> None:
        self._service, self._pending, self._stamp = service, b"", b""
        path = log_path(directory, service)
        self._files = [path, *(f"{path}.{number}" for number in range(1, COUNT))]  # from the newest to the oldest
        self._descriptor = os.open(os.devnull, os.O_RDONLY)  # until there is a log

    def last(self, count: int, since: bytes = b"") -> list[Entry]:
        """Return the last `count` lines not older than `since`, of rotated files too; `more` returns those after them."""
        missing = count
        for path in self._files:
            with suppress(FileNotFoundError), open(path, "rb") as file:
                os.dup2(file.fileno(), self._descriptor)
                missing -= _go_back(self._descriptor, missing)
                if missing <= 0 or b"" < os.pread(self._descriptor, STAMP_SIZE, 0) < since:
                    break
        entries = [entry for _ in self._files for entry in self.more()]  # at most one call for each file
        return [entry for entry in entries[max(0, len(entries) - count) :] if entry.stamp >= since]

    def more(self) -> list[Entry]:
        """Return the lines written since the last call, at least the rest of the open file and, if few, of newer files."""
        entries: list[Entry] = []
        while len(entries) < _MANY:
            newer = self._open_newer()  # opened first: what is written before a rotation is read below
            if os.fstat(self._descriptor).st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
                os.lseek(self._descriptor, 0, os.SEEK_SET)  # another program has truncated it
            while data := os.read(self._descriptor, max(_BLOCK, len(self._pending))):  # doubled for a long line
                *lines, self._pending = (self._pending + data).split(b"\n")
                entries += map(self._entry, lines)
            if newer is None:
                break
            os.dup2(newer, self._descriptor)
            os.close(newer)
        return entries

    def _open_newer(self) -> int | None:
        """Return a descriptor of the file after the open one, or of the newest if that is gone; None without one."""
        newer: list[int] = []
        with ExitStack() as opened:
            for path in self._files:  # in the order in which a rotation moves them, so that a concurrent one hides none
                with suppress(FileNotFoundError):
                    file = opened.enter_context(open(path, "rb")).fileno()
                    if os.path.sameopenfile(file, self._descriptor):
                        return os.dup(newer[-1]) if newer else None
                    newer.append(file)
            return os.dup(newer[0]) if newer else None

    def _entry(self, line: bytes) -> Entry:
        if line[STAMP_SIZE - 2 : STAMP_SIZE] == b"Z " and line[10:11] == b"T":
            self._stamp, line = line[:STAMP_SIZE], line[STAMP_SIZE:]
        return Entry(self._stamp, self._service, line)


def _go_back(descriptor: int, count: int) -> int:
    """Seek to the beginning of a file, or to an offset before its last `count` lines; return how many lines follow."""
    offset = os.fstat(descriptor).st_size
    lines = 0
    while offset > 0 and lines <= count:
        size = min(offset, _BLOCK)
        offset -= size
        lines += os.pread(descriptor, size, offset).count(b"\n")
    os.lseek(descriptor, offset, os.SEEK_SET)
    return lines


def _count(text: str) -> int:
    if text != "all" and not is_number(text):
        remedy = "run `stigmer server logs --lines 100`"
        raise UsageError(f"invalid value {text!r} for --lines: expected a number or `all`", remedy)
    return sys.maxsize if text == "all" else int(text)


def _since(text: str) -> bytes:
    """Return the stamp of a duration ago (`10m`), or of a date and time, local without a time zone; UsageError for others."""
    if not text:
        return b""
    if is_number(text[:-1]) and text[-1] in _SECONDS:
        return timestamp(max(0.0, time.time() - int(text[:-1]) * _SECONDS[text[-1]]))
    try:
        return timestamp(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        expected = "a duration (30s, 10m, 2h, 1d) or a time (2026-11-28T10:00)"
        problem = f"invalid value {text!r} for --since: expected {expected}"
        raise UsageError(problem, "run `stigmer server logs --since 10m`") from None
