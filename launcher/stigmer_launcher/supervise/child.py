"""Child processes: spawns services, each in its own session with its output in a pipe, and forks our own processes."""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from stigmer_launcher.errors import LimitError
from stigmer_launcher.supervise.logfile import APPEND
from stigmer_launcher.supervise.signals import HANDLED

_MAX_DESCRIPTORS = 1024  # more than programs that start us leave open
# Signals that we handle or ignore, and those that Python ignores to raise an error instead.
_DEFAULTS = (*HANDLED, signal.SIGTTOU, signal.SIGPIPE, signal.SIGXFSZ)
_MORE_PROCESSES = "raise the limit: `ulimit -u`, `TasksMax=` in the systemd unit, or that of the container"


def spawn(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[int, int]:
    """Run a command in the current directory; return its pid and its output's descriptor. OSError or LimitError if it cannot.

    The process leads a new session and process group. Its stdin is /dev/null; its stdout and stderr are one pipe, whose
    other end is non-blocking here. posix_spawn(3) starts it without a copy of this process.
    """
    for descriptor in _descriptors():
        with suppress(OSError):  # closed already: the one that listed the directory
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
    except OSError as error:
        os.close(reader)
        if isinstance(error, BlockingIOError):  # EAGAIN
            raise LimitError(f"the system allows no further process: {error.strerror}", _MORE_PROCESSES) from error
        raise
    finally:
        os.close(writer)
    return pid, reader


def fork(run_child: Callable[[], int]) -> int:
    """Fork a child that exits with the code `run_child` returns; return its pid. LimitError when there can be no child."""
    # Until the child has reset the handlers: those of the parent write to the parent's pipe.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        if pid := os.fork():
            return pid
        code = 127  # a shell's code for a command that cannot be run
        try:
            signal.set_wakeup_fd(-1)
            for signum in HANDLED:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            code = run_child()
        except OSError as error:  # such as too many open files in the system
            sys.stderr.write(f"process {os.getpid()} failed: {error}\n")
        except BaseException:  # noqa: BLE001 - the process ends here, whatever was raised
            sys.excepthook(*sys.exc_info())  # imports nothing: the keg may be gone
        finally:
            os._exit(code)
    except OSError as error:
        raise LimitError(f"the system allows no further process: {error.strerror}", _MORE_PROCESSES) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def daemonize(output: str, *kept: int) -> None:
    """Start a session without a terminal, with output appended to a file; close all other descriptors except `kept`."""
    os.setsid()
    for descriptor in _descriptors():  # first: the process may be at its limit
        if descriptor not in kept:
            with suppress(OSError):
                os.close(descriptor)
    for path, flags, targets in ((os.devnull, os.O_RDONLY, (0,)), (output, APPEND, (1, 2))):
        descriptor = os.open(path, flags, 0o600)
        for target in targets:
            os.dup2(descriptor, target)
        os.close(descriptor)


def _descriptors() -> Sequence[int]:
    """Return the descriptors that may be open, without the three standard ones."""
    try:
        return [descriptor for descriptor in map(int, os.listdir("/dev/fd")) if descriptor > 2]
    except OSError:  # a sandbox may lack the directory
        return range(3, _MAX_DESCRIPTORS)
