"""The sockets of the fake GitHub, and `git http-backend` behind them."""

import os
import subprocess
import urllib.parse
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.fake_github_answers import Answer, Request

Respond = Callable[[Request], Answer | None]


class Listener(ThreadingHTTPServer):
    """An HTTP server on a free port of 127.0.0.1 that answers with `respond`; its clock always shows `now`."""

    def __init__(self, respond: Respond, now: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond, self.now = respond, now


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def _respond(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.respond(Request(self.command, address.path, query, headers, self._body()))
        self.close_connection = True
        if answer is not None:
            self._send(answer)

    # http.server calls the method named after the request method
    do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = _respond  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.torn else answer.body)

    def date_time_string(self, _timestamp: float | None = None) -> str:
        return formatdate(self.server.now, usegmt=True)

    def log_message(self, *_: object) -> None:
        pass


def run_backend(request: Request, root: Path) -> Answer:
    """Answer a request with `git http-backend`, for the repositories below `root`."""
    env = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "REMOTE_USER": "pusher",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": urllib.parse.urlencode(request.query),
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
    }
    done = subprocess.run(["git", "http-backend"], input=request.body, env=env, capture_output=True, check=False)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    pairs = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line]
    status = next((int(value.split()[0]) for name, value in pairs if name == "Status"), 200)
    return Answer(status, body, tuple((name, value) for name, value in pairs if name != "Status"))
