"""Delivers signals through a pipe that the event loop can poll (see `signal.set_wakeup_fd`)."""

import os
import signal
from contextlib import AbstractContextManager

from stigmer_launcher.system.process import PIPE_SIZE

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
HANDLED = (*STOP_SIGNALS, signal.SIGCHLD)


class SignalPipe(AbstractContextManager["SignalPipe"]):
    """Collects signals until the end of a `with` block; `reader`, a descriptor, is readable when some are pending."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._previous = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        # A handler must exist for the wakeup descriptor to be written to. An ignored hang-up stays so: see nohup(1).
        handled = [each for each in HANDLED if (each, signal.getsignal(each)) != (signal.SIGHUP, signal.SIG_IGN)]
        self._handlers = {signum: signal.signal(signum, lambda *_: None) for signum in handled}
        self._handlers[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else `stty tostop` suspends us
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)  # whoever started us may have blocked them

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._previous)
        os.close(self.reader)
        os.close(self._writer)

    def read(self) -> bytes:
        """Return the signal numbers received since the last call, one per byte; wait for one when there are none."""
        return os.read(self.reader, PIPE_SIZE)
