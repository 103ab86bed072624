"""What the launcher needs of `signal`, as plain numbers: the enumerations of that module take 2 ms of every start.

Source: CPython's `_signal`, which `signal` wraps name by name.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

SIG_BLOCK, SIG_SETMASK = _signal.SIG_BLOCK, _signal.SIG_SETMASK
SIG_DFL, SIG_IGN = _signal.SIG_DFL, _signal.SIG_IGN
SIGCHLD, SIGHUP, SIGINT, SIGKILL = _signal.SIGCHLD, _signal.SIGHUP, _signal.SIGINT, _signal.SIGKILL
SIGPIPE, SIGQUIT, SIGTERM, SIGXFSZ = _signal.SIGPIPE, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGXFSZ
pthread_sigmask = _signal.pthread_sigmask
set_wakeup_fd = _signal.set_wakeup_fd
signal = _signal.signal
valid_signals = _signal.valid_signals


def name_of(number: int) -> str:
    """Name a signal, such as `SIGKILL`; of two names the first in the alphabet, which is the usual one."""
    names = (name for name in sorted(dir(_signal)) if name.startswith("SIG") and not name.startswith("SIG_"))
    return next((name for name in names if getattr(_signal, name) == number), f"signal {number}")
