"""`stigmer server logs`: the last lines of the services' logs, merged by time, and new ones."""

import os
import select
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, TextIO

from stigmer_launcher.cli.logtext import readable
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import PALETTE, Context, Terminal
from stigmer_launcher.config.schema import is_number
from stigmer_launcher.errors import UsageError
from stigmer_launcher.supervise.logfile import COUNT, STAMP_SIZE, log_path, stamped
from stigmer_launcher.system.places import find_places

_LINES = 50
_PAUSE = 0.1  # seconds between two looks while following
_BLOCK = 65536
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Entry(NamedTuple):
    """A line of a service's log; the stamp sorts by time, a line without one has that of the line before."""

    stamp: bytes
    service: str
    text: bytes


def logs(invocation: Invocation, context: Context) -> int:
    """Print the last lines of all services, or of those named, and follow them if asked to."""
    directory = find_places(context.environ).logs
    chosen = _chosen(invocation, context, directory)
    since = _since(invocation.value("since", ""), time.time())
    count = _count(invocation.value("lines", "all" if since else str(_LINES)))
    printer = Printer(context.out, chosen, stamps=invocation.has("timestamps"))
    tails = {name: Tail(name, log_path(directory, name)) for name in chosen}
    printer.print(merge((tail.last(count, since) for tail in tails.values()), count))
    if invocation.has("follow"):
        with suppress(KeyboardInterrupt):
            _follow(tails, printer, context.out.stream, "" if _named(invocation) else directory)
    return 0


def _follow(tails: dict[str, "Tail"], printer: "Printer", stream: TextIO, directory: str) -> None:
    """Print new lines until nobody reads them; with a directory, also those of services whose first log appears there."""
    while not _is_abandoned(stream):
        for name in sorted(_with_logs(directory) - tails.keys()) if directory else ():
            tails[name] = Tail(name, log_path(directory, name))
            printer.add(name)
        printer.print(merge((tail.more() for tail in tails.values()), None))


def _is_abandoned(stream: TextIO) -> bool:
    """Wait a moment; return whether the reader of our output has gone, which poll(2) reports for a pipe."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    events = sum(event for _, event in poll.poll(_PAUSE * 1000))
    if events & select.POLLNVAL:  # macOS cannot poll every device
        time.sleep(_PAUSE)
    return bool(events & (select.POLLERR | select.POLLHUP))


def _named(invocation: Invocation) -> tuple[str, ...]:
    return (*invocation.arguments, *invocation.all_values("service"))


def _chosen(invocation: Invocation, context: Context, directory: str) -> tuple[str, ...]:
    """Return the services to show: those named, else all that have a log, or with `--follow` may have one later."""
    named = _named(invocation)
    known = _with_logs(directory)
    if invocation.has("follow") or not known.issuperset(named):
        from stigmer_launcher.cli.completion import names_of  # reads the keg's index, which is seldom needed

        known.update(names_of(context.environ).get("SERVICE", ()))
    if unknown := [name for name in named if name not in known]:
        raise UsageError(
            f"there is no log of {unknown[0]} in {directory}; there are {', '.join(sorted(known)) or 'none'}",
            "run `stigmer server logs`, which shows all of them",
        )
    return tuple(dict.fromkeys(named)) or tuple(sorted(known))


def merge(entries: Iterable[Sequence[Entry]], count: int | None) -> list[Entry]:
    """Bring several logs into the order of time, and keep the last `count` lines (None: all)."""
    merged = sorted((entry for each in entries for entry in each), key=lambda entry: entry.stamp)
    return merged if count is None else merged[len(merged) - min(count, len(merged)) :]


class Printer:
    """Prints entries, each after its service's name when there are several services; in colour where the stream has it."""

    def __init__(self, out: Terminal, services: Sequence[str], *, stamps: bool) -> None:
        self._out, self._stamps = out, stamps
        self._services = list(services)

    def add(self, service: str) -> None:
        """Print lines of this service too."""
        self._services.append(service)

    def print(self, entries: Iterable[Entry]) -> None:
        """Print these lines."""
        prefixes = self._prefixes()
        for entry in entries:
            stamp = entry.stamp.decode() if self._stamps else ""
            text = readable(entry.text, colours=self._out.colour, stamp=not stamp)
            self._out.stream.write(f"{prefixes[entry.service]}{stamp}{text}\n")
        self._out.stream.flush()

    def _prefixes(self) -> dict[str, str]:
        if len(self._services) == 1:
            return {self._services[0]: ""}
        width = max(map(len, self._services), default=0)
        return {
            name: self._out.paint(f"{name:<{width}} | ", PALETTE[place % len(PALETTE)])
            for place, name in enumerate(self._services)
        }


class Tail:
    """The end of one service's log: what is there, then what comes, also when the file is made later or rotated away."""

    def __init__(self, service: str, path: str) -> None:
        self._service, self._path = service, path
        self._descriptor = -1
        self._pending = b""
        self._stamp = b""
        self._open()

    def last(self, count: int | None, since: bytes = b"") -> list[Entry]:
        """Return the last `count` lines (None: all) that are not older than `since`, reaching back into rotated files.

        What follows is left to `more`.
        """
        lines = self._split(_read_end(self._descriptor, count)) if self._descriptor >= 0 else []
        for number in range(1, COUNT):
            if (count is not None and len(lines) >= count) or (lines and lines[0][:STAMP_SIZE] < since):
                break
            with suppress(FileNotFoundError):
                older = os.open(f"{self._path}.{number}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    lines = _read_end(older, count).removesuffix(b"\n").split(b"\n") + lines
                finally:
                    os.close(older)
        entries = self._entries(lines if count is None else lines[max(0, len(lines) - count) :])
        return [entry for entry in entries if entry.stamp >= since]

    def more(self) -> list[Entry]:
        """Return the lines that have come since, from the rest of a rotated file and from the files that follow it."""
        lines: list[bytes] = []
        while True:
            while self._descriptor >= 0 and (data := os.read(self._descriptor, _BLOCK)):
                lines += self._split(data)
            if not self._move_on():
                return list(self._entries(lines))

    def _move_on(self) -> bool:
        """Open the file that follows ours, or start over if ours was truncated; False when neither happened."""
        if self._descriptor < 0:
            return self._open()
        ours = os.fstat(self._descriptor)
        with suppress(FileNotFoundError):
            if successor := self._successor(ours):
                descriptor = os.open(successor, os.O_RDONLY | os.O_CLOEXEC)
                os.close(self._descriptor)
                self._descriptor = descriptor
                return True
        if ours.st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            return True
        return False

    def _successor(self, ours: os.stat_result) -> str:
        """Return the file that follows ours, which may have been rotated too; empty while ours is the current one."""
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, COUNT))]
        for newer, name in zip(("", *names), names, strict=False):
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(name), ours):
                    return newer
        return self._path

    def _open(self) -> bool:
        with suppress(FileNotFoundError):
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._descriptor >= 0

    def _split(self, data: bytes) -> list[bytes]:
        *lines, self._pending = (self._pending + data).split(b"\n")
        return lines

    def _entries(self, lines: Iterable[bytes]) -> Iterator[Entry]:
        for line in lines:
            stamped = line[STAMP_SIZE - 2 : STAMP_SIZE] == b"Z " and line[10:11] == b"T"
            self._stamp = line[:STAMP_SIZE] if stamped else self._stamp
            yield Entry(self._stamp, self._service, line[STAMP_SIZE:] if stamped else line)


def _read_end(descriptor: int, count: int | None) -> bytes:
    """Read the last lines of a file, and leave its position at the end; None reads it whole."""
    end = place = os.lseek(descriptor, 0, os.SEEK_END)
    blocks: list[bytes] = []
    lines = 0
    while place > 0 and (count is None or lines <= count):
        size = min(place, _BLOCK)
        place -= size
        blocks.append(os.pread(descriptor, size, place))
        lines += blocks[-1].count(b"\n")
    found = b"".join(reversed(blocks))
    if place:
        found = found.partition(b"\n")[2]
    os.lseek(descriptor, end, os.SEEK_SET)
    return found


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if not is_number(text):
        raise UsageError(
            f"invalid value {text!r} for --lines: expected a number or `all`", "run `stigmer server logs --lines 100`"
        )
    return int(text)


def _since(text: str, now: float) -> bytes:
    """Return the stamp of a time so long ago (`10m`), or of a date and time, which is local unless it names its zone."""
    if not text:
        return b""
    if is_number(text[:-1]) and text[-1] in _SECONDS:
        return stamped(max(0.0, now - int(text[:-1]) * _SECONDS[text[-1]]))
    try:
        return stamped(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"invalid value {text!r} for --since: expected a duration (30s, 10m, 2h, 1d) or a time (2026-11-28T10:00)",
            "run `stigmer server logs --since 10m`",
        ) from None


def _with_logs(directory: str) -> set[str]:
    """Return the services that have a log."""
    try:
        return {name.removesuffix(".log") for name in os.listdir(directory) if name.endswith(".log")}
    except FileNotFoundError:
        return set()
