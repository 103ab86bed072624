"""Running one service: its own session and process group, its output through one pipe, nothing of ours left in it."""

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

_CANNOT_RUN = 127
_MANY = 1024  # descriptors; more are not opened by anything that starts us
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
_ALL = frozenset(map(int, signal.valid_signals()))  # as numbers: turning each into a name takes longer than to fork
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)  # by Python itself: its own processes see an error instead
_OF_OTHERS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Child(NamedTuple):
    """A process, which leads a process group of the same number, and the end of the pipe its output comes out of."""

    pid: int
    output: int


def spawn(command: Sequence[str], environment: Mapping[str, str], directory: str) -> Child:
    """Run a command without waiting for it; when it cannot be run, it says so on its output and ends with status 127.

    Its input is empty, stdout and stderr are one pipe that does not block its reader.
    """
    output, its_output = os.pipe()
    os.set_blocking(output, False)
    pid = fork(lambda: _become(command, environment, directory, its_output))
    os.close(its_output)
    return Child(pid, output)


def fork(be_child: Callable[[], NoReturn]) -> int:
    """Fork, run `be_child` in the child, and give the child's pid.

    The child begins with the signals that the parent handles at their defaults: one that came earlier would run the
    parent's handlers there, and write to the parent's own pipe.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    try:
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            for number in _HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            be_child()
        finally:
            os._exit(_CANNOT_RUN)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def signal_group(group: int, number: int) -> None:
    """Send a signal to every process of a group, when there is any."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(group, number)


def close_all_but(*wanted: int) -> None:
    """Close every descriptor but the three standard ones and those `wanted`, wherever they were inherited from."""
    try:
        opened = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # a sandbox may lack it
        opened = list(range(3, _MANY))
    for descriptor in opened:
        if descriptor > 2 and descriptor not in wanted:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def describe_exit(status: int) -> str:
    """Say in words how a process ended, from the status that `waitpid` gave."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"was ended by {_name(-code)}"
    return "could not be run" if code == _CANNOT_RUN else f"exited with status {code}"


def is_ended_by_others(status: int) -> bool:
    """Tell whether a process was ended by a signal that programs do not give themselves."""
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) in _OF_OTHERS


def _become(command: Sequence[str], environment: Mapping[str, str], directory: str, output: int) -> NoReturn:
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        close_all_but()
        os.chdir(directory)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_DFL)
        os.execve(command[0], list(command), environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"stigmer: cannot run {command[0]}: {error.strerror}\n".encode(errors="replace"))
    os._exit(_CANNOT_RUN)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
