"""A real HTTP server on a free port that can misbehave as servers and networks do."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stigmer_packaging.lib.loopback import listening


@dataclass
class Faults:
    """Faults of the server.

    `statuses` are error statuses of the first answers; then each of `cuts` truncates one answer after so many bytes.
    """

    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    content_type: str = "application/octet-stream"
    claimed: int = 0
    shift: int = 0


@dataclass
class FaultyServer:
    """The URL of the file, and the Range header of each request (empty: it had none)."""

    url: str
    range_headers: list[str]


@contextlib.contextmanager
def faulty_server(content: bytes, faults: Faults) -> Iterator[FaultyServer]:
    """Serve `content` under every path until the context exits."""
    state = FaultyServer("", [])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.range_headers.append(self.headers.get("Range", ""))
            if faults.statuses:
                self._answer(faults.statuses.pop(0), b"refused", 0)
                return
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(match[1]) if match and faults.ranges else 0
            if match and start >= len(content):
                self._answer(416, b"", 0)
            else:
                self._answer(206 if start else 200, content[start:], start)

        def _answer(self, status: int, body: bytes, start: int) -> None:
            cut = faults.cuts.pop(0) if faults.cuts and status in {200, 206} else len(body)
            self.send_response(status)
            self.send_header("Content-Type", faults.content_type)
            self.send_header("Content-Length", str(faults.claimed or len(body)))
            if status == 206:
                first = start + faults.shift
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        state.url = f"{address}/file"
        yield state
