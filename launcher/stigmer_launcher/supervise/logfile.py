"""Log file of a service: timestamps each line, redacts secrets, rotates by size and count."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

COUNT = 5  # files kept of one service, the current one among them
LAST_LINES = 20
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK  # fails for a FIFO without a reader instead of waiting
REDACTED = "[redacted]"  # in place of a secret
STAMP_SIZE = len(b"2026-11-22T18:01:02.345Z ")
_LONGEST_LINE = 64 * 1024
_PANICS = (b"panic: ", b"fatal error: ")  # the first words of a Go program that ends with its stack
_STACK = b".go:"  # in every second line of the stack
_SHORTEST_SECRET = 8  # bytes; redacting a shorter text could hide much of the log


class LogFile:
    """Writes a service's output with the UTC time before each line; lines are lost when a write fails, as on a full disk."""

    max_bytes, count = 10 * 1024 * 1024, COUNT

    def __init__(self, path: str, secrets: Sequence[str] = (), *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.last: list[bytes] = []  # the last lines, without their stamps
        self.panic: list[bytes] = []  # the first lines of the last panic, without their stamps
        self._secrets = [os.fsencode(secret) for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self._clock = clock
        self._partial = b""
        self._descriptor = -1  # kept open, to write even when no more descriptors are available

    def write(self, data: bytes) -> None:
        """Add output; a line is written when it is complete or very long."""
        data = self._partial + data
        for secret in self._secrets:
            data = data.replace(secret, REDACTED.encode())
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > _LONGEST_LINE:
            cut = len(data) - max(map(len, self._secrets), default=0)
        self._partial = data[cut:]
        if cut:
            self._write_lines(data[:cut].removesuffix(b"\n"))

    def flush(self) -> None:
        """Write an unfinished line."""
        if self._partial:
            self._write_lines(self._partial)
        self._partial = b""

    def _write_lines(self, lines: bytes) -> None:
        self._keep(lines)
        stamp = timestamp(self._clock())
        with suppress(OSError):
            self._append(stamp + lines.replace(b"\n", b"\n" + stamp) + b"\n")

    def _keep(self, lines: bytes) -> None:
        self.last = [*self.last, *lines.rsplit(b"\n", LAST_LINES)[-LAST_LINES:]][-LAST_LINES:]
        start = max((b"\n" + lines).rfind(b"\n" + panic) for panic in _PANICS)
        if start >= 0 or self.panic:
            kept = [] if start >= 0 else self.panic
            self.panic = [*kept, *lines[max(start, 0) :].split(b"\n", LAST_LINES)][:LAST_LINES]

    def end(self) -> list[bytes]:
        """Return the last lines; the first ones of a panic if they are its stack, which is longer than what is kept."""
        return self.panic if any(_STACK in line for line in self.last) and self.panic else self.last

    def _append(self, data: bytes) -> None:
        with suppress(FileNotFoundError):
            size = os.stat(self.path).st_size
            if size and size + len(data) > self.max_bytes:
                self._rotate()
        if not self._is_current():
            if self._descriptor >= 0:
                stale, self._descriptor = self._descriptor, -1  # close(2) may report an earlier write, as on NFS
                os.close(stale)
            with suppress(OSError):  # only this directory: a home that was removed must stay removed
                os.mkdir(os.path.dirname(self.path), 0o700)
            self._descriptor = os.open(self.path, APPEND, 0o600)
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _is_current(self) -> bool:
        """Return whether the open file is still the one at the path; another program may remove, rename or replace it."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        return False

    def _rotate(self) -> None:
        """Rename each file to the next number; the oldest is overwritten."""
        for number in range(self.count - 1, 0, -1):
            older = f"{self.path}.{number - 1}" if number > 1 else self.path
            with suppress(FileNotFoundError):
                os.replace(older, f"{self.path}.{number}")


def timestamp(seconds: float) -> bytes:
    """Format an epoch time as the prefix of a line: UTC to the millisecond, and a space."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z ".encode()


def log_path(directory: str, service: str) -> str:
    """Return the path of a service's current log file."""
    return os.path.join(directory, f"{service}.log")
