"""The one place where packaging starts programs: argument lists, an explicit environment, a deadline, no shell."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stigmer_packaging.lib.errors import CommandError, MissingToolError, PackagingError

_POLL = 0.05  # seconds between two looks at a running program
_DRAIN = 0.5  # seconds without output after a program's end
_QUIET = 2  # such pauses after which no more is waited for; in one of them we may have been suspended ourselves

_observer: ContextVar[Callable[[str], None] | None] = ContextVar("observer", default=None)
_children: set[subprocess.Popen[str]] = set()
_starting = threading.Lock()  # a program that has begun is among the children, whatever thread looks
_refusing = threading.Event()  # set while no program may begin


@dataclass(frozen=True)
class Completed:
    """How a program ended: its exit code and what it printed, stdout and stderr apart."""

    code: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def observed(observer: Callable[[str], None]) -> Iterator[None]:
    """Tell `observer` of every program run within: a line `+ command`, then what it printed, line by line."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def remark(text: str) -> None:
    """Tell the observer something, line by line."""
    if observer := _observer.get():
        for line in text.splitlines():
            observer(line)


@contextlib.contextmanager
def failing_as(kind: type[PackagingError], what: str, remedy: str = "") -> Iterator[None]:
    """Raise an error of `kind` in place of a CommandError: what the failure means, and then what the program said."""
    try:
        yield
    except CommandError as error:
        raise kind(f"{what}: {error}", remedy) from error


@contextlib.contextmanager
def all_killed() -> Iterator[None]:
    """Kill every program that runs now, in whatever thread it was started, with its process group; within, start none.

    A thread that goes on after its program was killed would start the next one, which would outlive us.
    """
    with _starting:
        _refusing.set()
        children = tuple(_children)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    try:
        yield
    finally:
        _refusing.clear()


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = 600,
    check: bool = True,
    stdin: str = "",
) -> Completed:
    """Run a program to its end. On failure (with `check`) or after `seconds`, raise CommandError with its last lines.

    The program gets a process group of its own, which is killed whole when the time is over or we are interrupted.
    The observer is told of each line when it is printed; what it raises is raised when the program has ended. Output of
    processes that outlive the program is not waited for.
    """
    words = [str(word) for word in command]
    remark("+ " + " ".join(words))
    with _file_of(stdin) as source:
        child = _start(words, env=env, cwd=cwd, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = _Output(child)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        _kill_group(child)
        raise CommandError(words, f"did not end within {seconds:g} s", "".join(output.read())) from None
    except BaseException:
        _kill_group(child)
        output.read()  # Python complains at its end when a thread is still at work
        raise
    finally:
        _children.discard(child)
    stdout, stderr = output.read()
    if output.failure:
        raise output.failure
    if check and child.returncode != 0:
        raise CommandError(words, f"failed with exit code {child.returncode}", stdout + stderr)
    return Completed(child.returncode, stdout, stderr)


class _Output:
    """What a program prints, read by a thread for each stream and passed on to the observer line by line.

    `failure` is what the observer raised, as it does when its log's disk is full. It is not asked again, and all the rest
    is read: a program whose output nobody reads would stop, or go on with half of its work.
    """

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._lines: tuple[list[str], list[str]] = ([], [])
        self.failure: BaseException | None = None
        observer, lock = _observer.get(), threading.Lock()

        def tell(line: str) -> None:
            with lock:
                if observer and not self.failure:
                    try:
                        observer(line.removesuffix("\n"))
                    except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
                        self.failure = error

        def read(stream: IO[str], lines: list[str]) -> None:
            with stream:
                for line in stream:
                    lines.append(line)
                    tell(line)

        streams = (stream for stream in (child.stdout, child.stderr) if stream)
        self._threads = [
            threading.Thread(target=read, args=each, daemon=True) for each in zip(streams, self._lines, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def read(self) -> tuple[str, str]:
        """Give stdout and stderr of a program that has ended, until nothing more comes for a moment."""
        for thread in self._threads:
            quiet = 0
            while thread.is_alive() and quiet < _QUIET:
                before = sum(map(len, self._lines))
                thread.join(_DRAIN)
                quiet = quiet + 1 if before == sum(map(len, self._lines)) else 0
        stdout, stderr = self._lines
        return "".join(stdout), "".join(stderr)


class Running:
    """A program that goes on while we look at it."""

    def __init__(self, words: Sequence[str], child: subprocess.Popen[str], log: Path) -> None:
        self._words, self._child, self._log = words, child, log

    @property
    def output(self) -> str:
        """What it has printed so far, both streams together."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, *, seconds: float) -> None:
        """Return when it has printed `text`; CommandError when it ends before that, or takes longer."""
        self.wait_until(lambda: text in self.output, f"print {text!r}", seconds=seconds)

    def wait_until(self, holds: Callable[[], bool], what: str, *, seconds: float) -> None:
        """Return when `holds` does; CommandError when the program ends before it did `what`, or takes longer."""
        deadline = time.monotonic() + seconds
        while not holds():
            if self._child.poll() is not None and not holds():
                raise CommandError(self._words, f"ended with exit code {self._child.returncode}", self.output)
            if time.monotonic() > deadline:
                raise CommandError(self._words, f"did not {what} within {seconds:g} s", self.output)
            time.sleep(_POLL)

    def stop(self, *, seconds: float) -> int:
        """Send SIGTERM and give the exit code; CommandError when it is still there after `seconds`.

        What bubblewrap runs is sent it in bubblewrap's place, which would kill what it runs and not pass it on.
        """
        if self._child.poll() is None:
            with contextlib.suppress(OSError):  # it has ended in this moment
                os.kill(_innermost(self._child.pid), signal.SIGTERM)
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise CommandError(self._words, f"did not stop within {seconds:g} s of SIGTERM", self.output) from None


@contextlib.contextmanager
def running(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, log: Path) -> Iterator[Running]:
    """Keep a program running, its output going to `log`; at the end its whole process group is killed."""
    words = [str(word) for word in command]
    remark("+ " + " ".join(words))
    with log.open("w", encoding="utf-8") as stream:
        child = _start(words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield Running(words, child, log)
    finally:
        _kill_group(child)
        _children.discard(child)


def _start(
    words: Sequence[str], *, env: Mapping[str, str] | None, cwd: Path | None, **streams: Any
) -> subprocess.Popen[str]:
    try:
        with _starting:
            if _refusing.is_set():
                raise KeyboardInterrupt
            child = subprocess.Popen(
                words, cwd=cwd, env=env, **streams, text=True, errors="replace", start_new_session=True
            )
            _children.add(child)
    except FileNotFoundError as error:
        raise MissingToolError(f"{words[0]} is not on this machine", f"install {words[0]} and run again") from error
    return child


def _innermost(pid: int) -> int:
    """Give what a process runs if it is bubblewrap, and itself if not. Source: proc_pid_task(5), `children`."""
    process = Path(f"/proc/{pid}")
    if not (process.is_dir() and (process / "comm").read_text(encoding="utf-8").strip() == "bwrap"):
        return pid
    children = (process / f"task/{pid}/children").read_text(encoding="ascii").split()
    return _innermost(int(children[0])) if children else pid


def _kill_group(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextlib.contextmanager
def _file_of(text: str) -> Iterator[IO[bytes]]:
    """Give a file with this text: a program that does not read it cannot hold us up, as it could with a pipe."""
    with tempfile.TemporaryFile() as file:
        file.write(text.encode())
        file.seek(0)
        yield file
