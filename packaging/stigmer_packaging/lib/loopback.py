"""TCP on this machine alone: ports for programs that are tried out, and a folder served over HTTP to those that download."""

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

# Below the ports that systems give out themselves: from 32768 (Linux, ip-sysctl.rst) or 49152 (macOS, RFC 6335).
_BLOCKS = range(10_000, 32_000, 500)


def free_port() -> int:
    """Give a port on which nobody listens; neither the system nor another caller gives it out meanwhile."""
    return next(filter(_is_free, _block()[1]))


@functools.cache
def _block() -> tuple[socket.socket, Iterator[int]]:
    """Reserve a block of ports until this process ends: it holds the first, and the others are given out in turn."""
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
    """Tell whether somebody takes connections on a port of this machine."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Say nothing of each request."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up: curl does, once it knows a file's size."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder while the block runs, and give its address without a slash at the end."""
    with listening(_Server(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))) as address:
        yield address


@contextlib.contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[str]:
    """Have a server answer while the block runs, and give its address without a slash at the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    with server:
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
