"""Fake services for tests of the launcher, in one program: `fake_services.py ROLE [name=value]…`.

They speak as much as the launcher uses of HTTP/2 with gRPC messages (RFC 9113; the answers are constant header blocks):
Temporal's health check and task queues, and one unary call. They run in an interpreter of their own and do not import
the launcher.

    FakeTemporal port=N
        answers health checks and lists the pollers that connected with `POLL pid@host queue…`;
        opens the database that DATABASE names as the real one does: as an SQLite URI
    FakeServer port=N state=FILE [host=ADDRESS] temporal=HOST:N queues=a,b
        accepts connections, appends a line to FILE at each start, and answers the smoke call;
        polls the queues: with dials=once only until its first connection ends, with dials=never not at all
    FakeWorker temporal=HOST:N queues=a,b
        polls the queues

Misbehaviour, for every role: exit=CODE after=SECONDS, term=ignore, forks=1 (a child in the process group and one that
escapes into its own session), megabytes=N (of output), slow=SECONDS (before it serves), line=TEXT, prints=HEX (bytes),
unready=1, broken=FILE (exits with 1 immediately while FILE exists).
"""

import json
import os
import signal
import socket
import socketserver
import struct
import sys
import threading
import time
from pathlib import Path

SETTINGS, HEADERS, DATA = 4, 1, 0
END_STREAM, END_HEADERS = 1, 4
OK_HEADERS = b"\x88"  # :status 200, from the static table
OK_TRAILERS = b"\x00\x0bgrpc-status\x010"
REFUSED_TRAILERS = b"\x88\x00\x0bgrpc-status\x0214"


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return len(body).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + body


def field(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


class Connection(socketserver.StreamRequestHandler):
    """One connection of an HTTP/2 client, or of a fake worker."""

    disable_nagle_algorithm = True
    server: "FakeService"

    def handle(self) -> None:
        """Serve a client, or register a worker as a poller."""
        try:
            first = self.rfile.read(4)
            if first == b"POLL":
                self.keep_poller(self.rfile.readline().decode().split())
            elif first == b"PRI ":
                self.rfile.read(20)
                self.serve()
        except (OSError, struct.error, IndexError):
            return

    def keep_poller(self, words: list[str]) -> None:
        """List a worker among the pollers while it stays connected."""
        identity, *queues = words
        for queue in queues:
            self.server.pollers.append((queue, identity, time.time()))
        self.rfile.read(1)
        self.server.pollers = [poller for poller in self.server.pollers if poller[1] != identity]

    def serve(self) -> None:
        """Speak HTTP/2: read complete requests and answer each."""
        self.wfile.write(frame(SETTINGS, 0, 0))
        paths: dict[int, bytes] = {}
        while head := self.rfile.read(9):
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream = int.from_bytes(head[5:9], "big")
            body = self.rfile.read(size)
            if kind == HEADERS:
                paths[stream] = body
            elif kind == DATA and flags & END_STREAM:
                self.answer(stream, paths.pop(stream), body[5:])

    def answer(self, stream: int, headers: bytes, message: bytes) -> None:
        """Send a reply, or an error status."""
        reply = self.server.reply(headers, message)
        if reply is None:
            self.wfile.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, REFUSED_TRAILERS))
            return
        framed = b"\0" + struct.pack(">I", len(reply)) + reply
        self.wfile.write(
            frame(HEADERS, END_HEADERS, stream, OK_HEADERS)
            + frame(DATA, 0, stream, framed)
            + frame(HEADERS, END_HEADERS | END_STREAM, stream, OK_TRAILERS)
        )


class FakeService(socketserver.ThreadingTCPServer):
    """A server on loopback that does not wait for open connections when it stops."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.pollers: list[tuple[str, str, float]] = []
        super().__init__((host, port), Connection)

    def reply(self, headers: bytes, message: bytes) -> bytes | None:
        """Return the message that answers a request, or None to reject it."""
        raise NotImplementedError


class FakeTemporal(FakeService):
    """Answers health checks, and tracks the pollers of each queue."""

    def reply(self, headers: bytes, message: bytes) -> bytes | None:
        """Report health, or the pollers of a queue."""
        if b"Health/Check" in headers:
            return b"\x08\x01"
        if b"DescribeTaskQueue" not in headers:
            return None
        found = b""
        for queue, identity, seen in tuple(self.pollers):
            if field(1, queue.encode()) in message:
                found += field(1, field(1, b"\x08" + varint(int(seen))) + field(2, identity.encode()))
        return found


class FakeServer(FakeService):
    """Answers the smoke call with the message it received and the path of the request."""

    def reply(self, headers: bytes, message: bytes) -> bytes | None:
        """Echo the message."""
        if b"/Run" not in headers:
            return None
        asked = json.loads(message[2:] if message[1] < 128 else message[3:])
        answer = {"message": asked["message"], "execution": "fake-1", "path": ["stigmer-server", "agent-runner"]}
        return field(1, json.dumps(answer).encode())


def open_database(name: str) -> None:
    import sqlite3

    with sqlite3.connect(f"file:{name}", uri=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS namespaces (name TEXT)")
    connection.close()


def work(temporal: str, queues: list[str]) -> None:
    """Poll the queues as a worker does: for ever, and again when Temporal was away."""
    while True:
        poll_once(temporal, queues)
        time.sleep(0.02)


def poll_once(temporal: str, queues: list[str]) -> None:
    """Poll the queues until the connection ends; return immediately if it cannot be established."""
    host, _, port = temporal.rpartition(":")
    try:
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"POLL {os.getpid()}@fake {' '.join(queues)}\n".encode())
            connection.recv(1)
    except OSError:
        pass


def misbehave(options: dict[str, str]) -> None:
    if "broken" in options and Path(options["broken"]).exists():
        sys.exit(1)
    if text := options.get("line"):
        sys.stdout.write(text + "\n")
    sys.stdout.buffer.write(bytes.fromhex(options.get("prints", "")))
    sys.stdout.flush()
    if options.get("forks"):
        for escapes in (False, True):
            if os.fork() == 0:
                if escapes:
                    os.setsid()
                    if os.fork():
                        os._exit(0)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(600)
    megabytes = int(options.get("megabytes", "0"))
    line = "x" * 99 + "\n"
    for _ in range(megabytes):
        sys.stdout.write(line * 10486)
    sys.stdout.flush()
    time.sleep(float(options.get("slow", "0")))


def main(role: str, options: dict[str, str]) -> None:
    graceful = signal.SIG_IGN if options.get("term") == "ignore" else lambda *_: os._exit(0)
    signal.signal(signal.SIGTERM, graceful)
    misbehave(options)
    if "exit" in options:
        threading.Timer(float(options.get("after", "0")), os._exit, (int(options["exit"]),)).start()
    if options.get("unready"):
        time.sleep(600)
    if role == "FakeTemporal":
        open_database(os.environ.get("DATABASE", ":memory:"))
        FakeTemporal(int(options["port"])).serve_forever()
    elif role == "FakeServer":
        if path := options.get("state"):
            with Path(path).open("a", encoding="utf-8") as stream:
                stream.write(f"started {os.getpid()}\n")
        server = FakeServer(int(options["port"]), options.get("host", "127.0.0.1"))
        if options.get("queues") and options.get("dials") != "never":
            poll = poll_once if options.get("dials") == "once" else work
            threading.Thread(target=poll, args=(options["temporal"], options["queues"].split(",")), daemon=True).start()
        server.serve_forever()
    elif role == "FakeWorker":
        work(options["temporal"], options["queues"].split(","))
    while True:
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:]))
