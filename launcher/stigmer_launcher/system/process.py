"""Processes: identity, processor time, signals, description of an exit, limit of open files."""

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from stigmer_launcher.errors import LimitError

RUN_TOKEN = "STIGMER_RUN"  # noqa: S105 - the variable that marks every process of a run
KILL_TIMEOUT = 10.0  # seconds; SIGKILL takes longer only while a process waits in the kernel, as for a network drive
PIPE_SIZE = 65536  # bytes that a pipe holds on Linux, so that one read(2) can empty it: pipe(7)
_KILL_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_BOOT = "/proc/sys/kernel/random/boot_id"
_WANTED_FILES = 10240  # the most that macOS accepts, even below a higher hard limit (OPEN_MAX, setrlimit(2))
_NEEDED_FILES = 256  # the default limit of macOS
_POLL_INTERVAL = 0.002  # seconds, where there are no pidfds


def identity(pid: int) -> str:
    """Return boot and start time, which identify a living process even if pids are reused; empty for none and a zombie."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        return darwin.start_time(pid)
    boot_id = _BOOT if os.path.exists(_BOOT) else os.devnull  # some sandboxes and emulated kernels lack it
    for pause in (0.01, 0.1, 0.5, 0.0):  # seconds after each try while the system has no free descriptor or memory
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat, open(boot_id, "rb") as boot:
                fields = stat.read().rpartition(b")")[2].split()
                is_alive = fields and fields[0] not in b"ZX"
                return f"{boot.read().decode().strip()}:{fields[19].decode()}" if is_alive else ""
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                break
            time.sleep(pause)
    return ""


def processor_time(pid: int) -> float | None:
    """Return the processor time of a process, in units of the system; None when it is not known."""
    if sys.platform == "darwin":
        from stigmer_launcher.system import darwin

        return darwin.processor_time(pid)
    with suppress(OSError):
        return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3), which Python does not know
    return None


def is_same_process(pid: int, known: str) -> bool:
    """Return whether `pid` is still the process that had the identity `known`."""
    return bool(known) and pid > 0 and identity(pid) == known


def send_signal(pid: int, known: str, signum: int) -> None:
    """Send a signal to `pid` if its identity is `known`; with pidfds, the pid cannot be reused in between."""
    with suppress(ProcessLookupError), _pidfd(pid) as descriptor:
        if is_same_process(pid, known):
            if descriptor < 0:
                os.kill(pid, signum)
            else:
                signal.pidfd_send_signal(descriptor, signum)


def wait_for_end(pid: int, known: str, seconds: float) -> None:
    """Wait at most `seconds` for the process with the identity `known` to end; without pidfds, only one poll interval."""
    import select

    with _pidfd(pid) as descriptor:
        if descriptor >= 0 and is_same_process(pid, known):
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.poll(seconds * 1000)
        else:
            time.sleep(min(seconds, _POLL_INTERVAL))


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    """Open a pidfd, -1 where that is not possible: macOS has none, and an old kernel or a sandbox may refuse it."""
    descriptor = -1
    with suppress(OSError, AttributeError):
        descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def ended_child() -> int:
    """Return the pid of a child that has ended, 0 when none has. It is not reaped, so its group can still be signalled."""
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return ended.si_pid if ended else 0


def signal_group(group: int, signum: int) -> None:
    """Send a signal to every process of a group, if there is any."""
    if group > 1:  # to killpg(2), 0 means our own group and 1, as kill(-1), every process of the user
        with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
            os.killpg(group, signum)


def describe_exit(status: int) -> str:
    """Describe how a process ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with status {code}"
    with suppress(ValueError):  # a realtime signal has no name
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def is_killed(status: int) -> bool:
    """Return whether a process was killed from outside; a crash, such as by SIGSEGV, does not count."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in _KILL_SIGNALS


def raise_open_files() -> None:
    """Raise the soft limit of open files, which services inherit; LimitError when the hard limit is too low."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if limit < _NEEDED_FILES:
        raise LimitError(f"only {limit} files may be open at a time (hard limit); the services need {_NEEDED_FILES}")
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
