"""`stigmer server logs`: the last lines of the services' logs, merged by time, and new ones."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.cli.logtext import readable
from stigmer_launcher.cli.parse import Invocation
from stigmer_launcher.cli.terminal import PALETTE, Context, Terminal
from stigmer_launcher.errors import UsageError
from stigmer_launcher.supervise.logfile import COUNT, STAMP_SIZE, log_path
from stigmer_launcher.system.places import find_places

_LINES = 50
_PAUSE = 0.1  # seconds between two looks while following
_BLOCK = 65536


class Entry(NamedTuple):
    """A line of a service's log; the stamp sorts by time, a line without one has that of the line before."""

    stamp: bytes
    service: str
    text: bytes


def logs(invocation: Invocation, context: Context) -> int:
    """Print the last lines of all services, or of those named, and follow them if asked to."""
    directory = find_places(context.environ).logs
    chosen = _chosen(invocation, context, directory)
    count = _count(invocation.value("lines", str(_LINES)))
    printer = Printer(context.out, chosen, stamps=invocation.has("timestamps"))
    tails = [Tail(name, log_path(directory, name)) for name in chosen]
    printer.print(merge((tail.last(count) for tail in tails), count))
    with suppress(KeyboardInterrupt):
        while invocation.has("follow"):
            time.sleep(_PAUSE)
            printer.print(merge((tail.more() for tail in tails), None))
    return 0


def _chosen(invocation: Invocation, context: Context, directory: str) -> tuple[str, ...]:
    """Give the services to show: those named, else all that have a log, or with `--follow` may have one later."""
    named = (*invocation.arguments, *invocation.all_values("service"))
    known = {name[: -len(".log")] for name in _listed(directory) if name.endswith(".log")}
    if invocation.has("follow") or not known.issuperset(named):
        from stigmer_launcher.cli.completion import names_of  # reads the keg's index, which is seldom needed

        known.update(names_of(context.environ).get("SERVICE", ()))
    if unknown := [name for name in named if name not in known]:
        raise UsageError(
            f"there is no log of {unknown[0]} in {directory}; there are {', '.join(sorted(known)) or 'none'}"
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
        width = max(map(len, services), default=0)
        colours = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(services)}
        prefixes = {name: out.paint(f"{name:<{width}} | ", colours[name]) for name in services}
        self._prefixes = prefixes if len(services) > 1 else dict.fromkeys(services, "")

    def print(self, entries: Iterable[Entry]) -> None:
        """Print these lines."""
        for entry in entries:
            stamp = entry.stamp.decode() if self._stamps else ""
            text = readable(entry.text, colours=self._out.colour, stamp=not stamp)
            self._out.stream.write(f"{self._prefixes[entry.service]}{stamp}{text}\n")
        self._out.stream.flush()


class Tail:
    """The end of one service's log: what is there, then what comes, also when the file is made later or rotated away."""

    def __init__(self, service: str, path: str) -> None:
        self._service, self._path = service, path
        self._descriptor = -1
        self._pending = b""
        self._stamp = b""
        self._open()

    def last(self, count: int | None) -> list[Entry]:
        """Give the last `count` lines (None: all), reaching back into rotated files; what follows is left to `more`."""
        lines = self._split(_read_end(self._descriptor, count)) if self._descriptor >= 0 else []
        for number in range(1, COUNT):
            if count is not None and len(lines) >= count:
                break
            with suppress(FileNotFoundError):
                older = os.open(f"{self._path}.{number}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    lines = _read_end(older, count).removesuffix(b"\n").split(b"\n") + lines
                finally:
                    os.close(older)
        return list(self._entries(lines if count is None else lines[max(0, len(lines) - count) :]))

    def more(self) -> list[Entry]:
        """Give the lines that have come since, to the end of a file rotated away and on from its successor's begin."""
        lines: list[bytes] = []
        while True:
            while self._descriptor >= 0 and (data := os.read(self._descriptor, _BLOCK)):
                lines += self._split(data)
            if not self._move_on():
                return list(self._entries(lines))

    def _move_on(self) -> bool:
        """Turn to the file that now has the name; begin again when ours was cut short."""
        if self._descriptor < 0:
            return self._open()
        ours = os.fstat(self._descriptor)
        with suppress(FileNotFoundError):
            named = os.stat(self._path)
            if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
                os.close(self._descriptor)
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                return True
        if ours.st_size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            return True
        return False

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
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"--lines {text} is neither a number nor `all`")
    return int(text)


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
