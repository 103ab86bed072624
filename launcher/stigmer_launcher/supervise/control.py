"""Requests from commands to a running supervisor, through a FIFO in the home's `run` directory.

A FIFO loses its content when its reader ends, and cannot be written to without a reader, so no request reaches a later
supervisor. Sources: fifo(7), and daemontools' supervise, which is controlled in the same way.
"""

import os
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.supervise import lifecycle, state
from stigmer_launcher.system.process import PIPE_SIZE


class Control:
    """The supervisor's end; `reader`, a descriptor, is readable when there are requests."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            with suppress(FileNotFoundError):
                os.unlink(path)
            os.mkfifo(path, 0o600)
            self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            # With our own writer, a read does not return end of file when a command closes its end.
            self._writer = os.open(path, os.O_WRONLY)
        except OSError:  # a file system without FIFOs: there will be no requests
            with suppress(OSError):
                os.unlink(path)  # it may have a reader by now, and a command would wait for what it requests
            self.reader, self._writer = os.pipe()

    def read_requests(self, services: Container[str]) -> Iterator[lifecycle.Requested]:
        """Read and yield the requests for these services; none is partial, since short writes to a FIFO are atomic."""
        with suppress(BlockingIOError):  # another program has read them
            for line in os.read(self.reader, PIPE_SIZE).decode(errors="replace").splitlines():
                verb, _, name = line.partition(" ")
                if name in services:
                    yield lifecycle.Requested(name, verb)

    def close(self) -> None:
        """Close the FIFO, and remove it: opening a FIFO that has no reader blocks."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(self.reader), os.stat(self._path)):
                os.unlink(self._path)
        os.close(self.reader)
        os.close(self._writer)


def request(instance: state.Instance, verb: str, services: Sequence[str]) -> None:
    """Request a start, stop or restart (`verb`) of services without waiting; LauncherError when the FIFO cannot be written."""
    text = "".join(f"{verb} {name}\n" for name in services)
    try:
        with open(os.open(instance.control, os.O_WRONLY | os.O_NONBLOCK), "wb", buffering=0) as fifo:
            os.write(fifo.fileno(), text.encode())  # `fifo.write` raises nothing when the FIFO is full
    except OSError as error:
        if state.supervisor_pid(instance):  # it has not ended meanwhile
            problem = f"the running server takes no requests: {instance.control}: {error.strerror}"
            raise LauncherError(problem, "run `stigmer server restart`, which restarts all services") from error
