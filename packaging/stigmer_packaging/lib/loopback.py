"""TCP on this machine only: free ports for programs under test, and a folder served over HTTP for download tests."""

import atexit
import contextlib
import functools
import itertools
import socket
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Below the ephemeral ports, which begin at 32768 (Linux, ip-sysctl.rst) or 49152 (macOS, RFC 6335).
_BLOCKS = range(10_000, 32_000, 500)


def free_port() -> int:
    """Return a port that nothing listens on; neither the system nor other callers of this function hand it out."""
    return next(filter(_is_free, _block()[1]))


@functools.cache
def _block() -> tuple[socket.socket, Iterator[int]]:
    """Reserve a block of ports until this process exits: bind the first one, and iterate over the others."""
    for first in _BLOCKS:
        holder = socket.socket()
        with contextlib.suppress(OSError):
            holder.bind(("", first))
            atexit.register(holder.close)
            return holder, itertools.cycle(range(first + 1, first + _BLOCKS.step))
        holder.close()
    raise OSError(f"all ports between {_BLOCKS.start} and {_BLOCKS.stop} are taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def is_open(port: int) -> bool:
    """Return whether a port of this machine accepts connections."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up: curl does so once it knows a file's size."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder while the block runs; yield its URL without a trailing slash."""
    with listening(_Server(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))) as address:
        yield address


@contextlib.contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[str]:
    """Run a server while the block runs; yield its URL without a trailing slash."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    with server:
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
