"""Child processes: spawns a service in a session of its own with its output in a pipe, and forks our own processes."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from stigmer_launcher.supervise.signals import HANDLED

_APPENDED = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_MANY = 1024  # descriptors; no program that starts us leaves more open
# Signals that we handle, and those that Python ignores to raise an error instead.
_DEFAULTS = (*HANDLED, signal.SIGPIPE, signal.SIGXFSZ)


def spawn(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[int, int]:
    """Run a command in the current directory; return its pid and a descriptor of its output. OSError when it cannot run.

    It leads a session and a process group. Its stdin is empty; stdout and stderr are one pipe, of which our end does not
    block. It is started by posix_spawn(3), without a copy of this process.
    """
    for descriptor in _descriptors():
        with suppress(OSError):  # already closed: the descriptor that listed the others
            os.set_inheritable(descriptor, False)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, writer, 1),
        (os.POSIX_SPAWN_DUP2, writer, 2),
    ]
    try:
        pid = os.posix_spawn(
            command[0], command, environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_DEFAULTS
        )
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return pid, reader


def fork(run_child: Callable[[], int]) -> int:
    """Fork a child that exits with the code `run_child` returns; return its pid.

    Signals are blocked until the child has reset the parent's handlers: they would write to the parent's own pipe.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid:
            return pid
        code = 127  # a shell's code for a command that cannot be run
        try:
            signal.set_wakeup_fd(-1)
            for number in HANDLED:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            code = run_child()
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
            sys.excepthook(*sys.exc_info())  # imports nothing: the keg may be gone
        finally:
            os._exit(code)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def daemonize(output: str, *wanted: int) -> None:
    """Daemonize: begin a session that reads nothing and appends to `output`; close all other descriptors but `wanted`."""
    os.setsid()
    for descriptor in _descriptors():  # first, because no further one may be available
        if descriptor not in wanted:
            with suppress(OSError):
                os.close(descriptor)
    for path, flags, standard in ((os.devnull, os.O_RDONLY, (0,)), (output, _APPENDED, (1, 2))):
        descriptor = os.open(path, flags, 0o600)
        for each in standard:
            os.dup2(descriptor, each)
        os.close(descriptor)


def _descriptors() -> Sequence[int]:
    """Return the descriptors that may be open, without the three standard ones."""
    try:
        return [number for number in map(int, os.listdir("/dev/fd")) if number > 2]
    except OSError:  # a sandbox may lack the directory
        return range(3, _MANY)
