"""The only module of packaging that starts programs: argument lists, an explicit environment, a timeout, no shell."""

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

_POLL = 0.05  # seconds between two checks of a running program
_DRAIN = 0.5  # seconds to wait for more output after a program has ended
_QUIET = 2  # number of such waits without output before we give up; we may have been suspended during one of them

_observer: ContextVar[Callable[[str], None] | None] = ContextVar("observer", default=None)
_children: set[subprocess.Popen[str]] = set()
_starting = threading.Lock()  # makes starting a program and adding it to _children atomic
_refusing = threading.Event()  # set while no program may start


@dataclass(frozen=True)
class Completed:
    """The result of a program: its exit code, and its stdout and stderr separately."""

    code: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def observed(observer: Callable[[str], None]) -> Iterator[None]:
    """Pass each program run in the block to `observer`: a line `+ command`, then the program's output, line by line."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def log_text(text: str) -> None:
    """Pass text to the observer, line by line."""
    if observer := _observer.get():
        for line in text.splitlines():
            observer(line)


@contextlib.contextmanager
def translate_failure(kind: type[PackagingError], message: str, remedy: str = "") -> Iterator[None]:
    """Turn a CommandError into an error of `kind`: `message`, the meaning of the failure, then the original message."""
    try:
        yield
    except CommandError as error:
        raise kind(f"{message}: {error}", remedy) from error


@contextlib.contextmanager
def kill_all() -> Iterator[None]:
    """Kill every running program of all threads, with its process group, and start no other program within the block.

    Otherwise a thread that continues after its program was killed would start its next program, which would outlive us.
    """
    with _starting:
        _refusing.set()
        children = tuple(_children)
    for child in children:
        _signal_group(child)
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
    """Run a program until it ends; raise CommandError with its last lines on failure (with `check`) or after `seconds`.

    The program gets its own process group, which is killed on a timeout or if we are interrupted. The observer receives
    each line as it is printed; an exception of the observer is raised after the program has ended. Output of processes
    that outlive the program is not waited for.
    """
    argv = [str(word) for word in command]
    log_text("+ " + " ".join(argv))
    with _file_of(stdin) as source:
        child = _start(argv, env=env, cwd=cwd, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = _Output(child)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        _kill_group(child)
        raise CommandError(argv, f"did not end within {seconds:g} s", "".join(output.read())) from None
    except BaseException:
        _kill_group(child)
        output.read()  # otherwise Python complains at exit that a thread still runs
        raise
    finally:
        _children.discard(child)
    stdout, stderr = output.read()
    if output.failure:
        raise output.failure
    if check and child.returncode != 0:
        raise CommandError(argv, f"failed with exit code {child.returncode}", stdout + stderr)
    return Completed(child.returncode, stdout, stderr)


class _Output:
    """The output of a program, read by one thread per stream and passed to the observer line by line.

    `failure` is an exception raised by the observer, for example when the disk of its log is full. The observer is not
    called again after that, but the rest is still read: otherwise the program would block on a full pipe or fail
    halfway.
    """

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._lines: tuple[list[str], list[str]] = ([], [])
        self.failure: BaseException | None = None
        observer, lock = _observer.get(), threading.Lock()

        def observe(line: str) -> None:
            with lock:
                if observer and not self.failure:
                    try:
                        observer(line.removesuffix("\n"))
                    except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
                        self.failure = error

        def read(stream: IO[str], lines: list[str]) -> None:
            with stream:
                for line in stream:
                    lines.append(line)
                    observe(line)

        streams = (stream for stream in (child.stdout, child.stderr) if stream)
        self._threads = [
            threading.Thread(target=read, args=each, daemon=True) for each in zip(streams, self._lines, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def read(self) -> tuple[str, str]:
        """Return stdout and stderr of a program that has ended, once no more output arrives for a moment."""
        for thread in self._threads:
            quiet = 0
            while thread.is_alive() and quiet < _QUIET:
                before = sum(map(len, self._lines))
                thread.join(_DRAIN)
                quiet = quiet + 1 if before == sum(map(len, self._lines)) else 0
        stdout, stderr = self._lines
        return "".join(stdout), "".join(stderr)


class Running:
    """A program that runs in the background."""

    def __init__(self, argv: Sequence[str], child: subprocess.Popen[str], log: Path) -> None:
        self._argv, self._child, self._log = argv, child, log

    @property
    def output(self) -> str:
        """The output so far, both streams together."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, *, seconds: float) -> None:
        """Wait until the program has printed `text`; CommandError if it ends before that or takes too long."""
        self.wait_until(lambda: text in self.output, f"print {text!r}", seconds=seconds)

    def wait_until(self, holds: Callable[[], bool], what: str, *, seconds: float) -> None:
        """Wait until `holds` returns true; CommandError if the program ends before it did `what`, or takes too long."""
        deadline = time.monotonic() + seconds
        while not holds():
            if self._child.poll() is not None and not holds():
                raise CommandError(self._argv, f"ended with exit code {self._child.returncode}", self.output)
            if time.monotonic() > deadline:
                raise CommandError(self._argv, f"did not {what} within {seconds:g} s", self.output)
            time.sleep(_POLL)

    def stop(self, *, seconds: float) -> int:
        """Send SIGTERM and return the exit code; CommandError if the program still runs after `seconds`.

        For bubblewrap, the signal is sent to the program inside: bubblewrap itself would kill that program instead of
        passing the signal on.
        """
        if self._child.poll() is None:
            with contextlib.suppress(OSError):  # the program may have just ended
                os.kill(_innermost(self._child.pid), signal.SIGTERM)
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise CommandError(self._argv, f"did not stop within {seconds:g} s of SIGTERM", self.output) from None


@contextlib.contextmanager
def running(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, log: Path) -> Iterator[Running]:
    """Run a program in the background with its output in `log`; kill its process group at the end of the block."""
    argv = [str(word) for word in command]
    log_text("+ " + " ".join(argv))
    with log.open("w", encoding="utf-8") as stream:
        child = _start(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield Running(argv, child, log)
    finally:
        _kill_group(child)
        _children.discard(child)


def _start(
    argv: Sequence[str], *, env: Mapping[str, str] | None, cwd: Path | None, **streams: Any
) -> subprocess.Popen[str]:
    try:
        with _starting:
            if _refusing.is_set():
                raise KeyboardInterrupt
            child = subprocess.Popen(
                argv, cwd=cwd, env=env, **streams, text=True, errors="replace", start_new_session=True
            )
            _children.add(child)
    except FileNotFoundError as error:
        if error.filename == cwd:
            raise
        raise MissingToolError(f"{argv[0]} is not installed", f"install {argv[0]} and run again") from error
    return child


def _innermost(pid: int) -> int:
    """Return the pid of the program that bubblewrap runs, else `pid` itself. Source: proc_pid_task(5), `children`."""
    process = Path(f"/proc/{pid}")
    if not (process.is_dir() and (process / "comm").read_text(encoding="utf-8").strip() == "bwrap"):
        return pid
    children = (process / f"task/{pid}/children").read_text(encoding="ascii").split()
    return _innermost(int(children[0])) if children else pid


def _kill_group(child: subprocess.Popen[str]) -> None:
    _signal_group(child)
    child.wait()


def _signal_group(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def _file_of(text: str) -> Iterator[IO[bytes]]:
    """Yield a file with this text: unlike a pipe, it cannot block us if the program does not read it."""
    with tempfile.TemporaryFile() as file:
        file.write(text.encode())
        file.seek(0)
        yield file
