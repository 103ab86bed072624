"""Spawns a service in a session and process group of its own, with its output in one pipe."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from stigmer_launcher.supervise.signals import HANDLED

_APPENDED = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_MANY = 1024  # descriptors; more are not opened by anything that starts us
# Those that we handle, and those that Python itself ignores to see an error instead.
_DEFAULTS = (*HANDLED, signal.SIGPIPE, signal.SIGXFSZ)


def spawn(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[int, int]:
    """Run a command in our own current directory, and return its pid and its output; OSError when it cannot be run.

    It leads a session and a process group. Its input is empty, stdout and stderr are one pipe that does not block its
    reader. No copy of this process is made for it.
    """
    for descriptor in _descriptors():
        with suppress(OSError):  # not open any more: it listed the others
            os.set_inheritable(descriptor, False)
    output, its_output = os.pipe()
    os.set_blocking(output, False)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, its_output, 1),
        (os.POSIX_SPAWN_DUP2, its_output, 2),
    ]
    try:
        pid = os.posix_spawn(
            command[0], command, environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_DEFAULTS
        )
    except OSError:
        os.close(output)
        raise
    finally:
        os.close(its_output)
    return pid, output


def fork(be_child: Callable[[], int]) -> int:
    """Fork, end the child with the exit code that `be_child` returns, and give its pid.

    The child begins with the signals that the parent handles at their defaults: one that came earlier would run the
    parent's handlers there, and write to the parent's own pipe.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid:
            return pid
        code = 127  # what a shell says of a command that cannot be run
        try:
            signal.set_wakeup_fd(-1)
            for number in HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            code = be_child()
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
            sys.excepthook(*sys.exc_info())  # imports nothing: the keg may be gone
        finally:
            os._exit(code)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def leave_terminal(output: str, *wanted: int) -> None:
    """Begin a session that reads nothing and prints to `output`, and close every other descriptor but those `wanted`."""
    os.setsid()
    for descriptor in _descriptors():  # first, as there may be no room for another
        if descriptor not in wanted:
            with suppress(OSError):
                os.close(descriptor)
    for path, flags, standard in ((os.devnull, os.O_RDONLY, (0,)), (output, _APPENDED, (1, 2))):
        descriptor = os.open(path, flags, 0o600)
        for each in standard:
            os.dup2(descriptor, each)
        os.close(descriptor)


def _descriptors() -> Sequence[int]:
    """List the descriptors that may be open, beyond the three standard ones."""
    try:
        return [number for number in map(int, os.listdir("/dev/fd")) if number > 2]
    except OSError:  # a sandbox may lack the directory
        return range(3, _MANY)
