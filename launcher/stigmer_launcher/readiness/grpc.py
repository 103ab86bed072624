"""Client side of unary gRPC over plaintext HTTP/2, without I/O: bytes in, bytes out.

Sources: RFC 9113 (frames), RFC 7541 (header fields: the request's are literals or single entries of the static table, so
that no state is kept), gRPC's "PROTOCOL-HTTP2" (a message is a zero byte, a four-byte length, and its bytes).
Of a response's header blocks only the end of the stream matters: a stream that ends without a message was refused.
"""

import struct
from typing import NamedTuple

from stigmer_launcher.readiness.protowire import varint

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _PADDED, _ACK = 1, 4, 8, 1
_LARGEST_FRAME = 16384
# :method POST, :scheme http; then :path, :authority, content-type by index; te by name.
_FIXED_FIELDS = b"\x83\x86"
_CONTENT_TYPE = b"\x0f\x10\x10application/grpc"
_TE = b"\x00\x02te\x08trailers"


class Reply(NamedTuple):
    """How a call ended: its message, or None when it was refused."""

    call: int
    message: bytes | None


class ProtocolError(OSError):
    """What answers does not speak HTTP/2, or ended the connection."""


class Client:
    """One connection's state. `outgoing` is to be sent; `greeted` tells that the other side spoke HTTP/2."""

    def __init__(self, authority: str) -> None:
        self.outgoing = bytearray(PREFACE + _frame(_SETTINGS, 0, 0, b""))
        self.greeted = False
        self._authority = authority.encode()
        self._incoming = bytearray()
        self._messages: dict[int, bytearray] = {}
        self._next = 1

    def call(self, method: str, message: bytes, seconds: float = 0.0) -> int:
        """Queue a unary call of at most 64 KB, the window every server grants; give the number its reply will bear.

        The server is told how many `seconds` the caller waits, unless they are 0.
        """
        stream, self._next = self._next, self._next + 2
        path, authority = b"\x04" + _string(method.encode()), b"\x01" + _string(self._authority)
        timeout = b"\x00\x0cgrpc-timeout" + _string(b"%dm" % (seconds * 1000)) if seconds else b""
        block = _FIXED_FIELDS + path + authority + _CONTENT_TYPE + _TE + timeout
        self.outgoing += _frame(_HEADERS, _END_HEADERS, stream, block)
        framed = b"\0" + struct.pack(">I", len(message)) + message
        pieces = range(0, len(framed), _LARGEST_FRAME)
        for start in pieces:
            last = _END_STREAM if start == pieces[-1] else 0
            self.outgoing += _frame(_DATA, last, stream, framed[start : start + _LARGEST_FRAME])
        self._messages[stream] = bytearray()
        return stream

    def receive(self, data: bytes) -> list[Reply]:
        """Take bytes from the other side and give the calls that ended with them; ProtocolError ends the connection."""
        self._incoming += data
        replies: list[Reply] = []
        while len(self._incoming) >= 9:
            size = int.from_bytes(self._incoming[:3], "big")
            kind, flags = self._incoming[3], self._incoming[4]
            if not self.greeted and kind != _SETTINGS:
                raise ProtocolError("something that is not a gRPC server answers there")
            if len(self._incoming) < 9 + size:
                break
            stream = int.from_bytes(self._incoming[5:9], "big") & 0x7FFFFFFF
            body = bytes(self._incoming[9 : 9 + size])
            del self._incoming[: 9 + size]
            replies += self._take(kind, flags, stream, body)
        return replies

    def _take(self, kind: int, flags: int, stream: int, body: bytes) -> list[Reply]:
        if kind == _SETTINGS and not flags & _ACK:
            self.greeted = True
            self.outgoing += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self.outgoing += _frame(_PING, _ACK, 0, body)
        elif kind == _GOAWAY:
            raise ProtocolError("the server ended the connection")
        elif stream in self._messages:
            return self._progress(kind, flags, stream, body)
        return []

    def _progress(self, kind: int, flags: int, stream: int, body: bytes) -> list[Reply]:
        """Carry one call further: collect its message, and tell when it ended."""
        if kind == _RST_STREAM:
            return [self._end(stream, None)]
        if kind == _DATA and body:
            self._messages[stream] += body[1 : len(body) - body[0]] if flags & _PADDED else body
            self._grant(stream, len(body))
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return [self._end(stream, _message(bytes(self._messages[stream])))]
        return []

    def _end(self, stream: int, message: bytes | None) -> Reply:
        del self._messages[stream]
        return Reply(stream, message)

    def _grant(self, stream: int, size: int) -> None:
        """Let the server send as much again."""
        for target in (0, stream):
            self.outgoing += _frame(_WINDOW_UPDATE, 0, target, struct.pack(">I", size))


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + body


def _string(value: bytes) -> bytes:
    """Encode a string literal of RFC 7541, 5.2, without Huffman coding."""
    if len(value) < 127:
        return bytes((len(value),)) + value
    return b"\x7f" + varint(len(value) - 127) + value


def _message(framed: bytes) -> bytes | None:
    """Take the message out of its gRPC frame; None when there is no whole, uncompressed one."""
    if len(framed) < 5 or framed[0] != 0 or len(framed) != 5 + int.from_bytes(framed[1:5], "big"):
        return None
    return framed[5:]
