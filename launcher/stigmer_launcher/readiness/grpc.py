"""Client side of unary gRPC over plaintext HTTP/2, and the protobuf it needs. No I/O: bytes in, bytes out.

Sources: RFC 9113 (frames), RFC 7541 (header fields: the request's are literals or single entries of the static table, so
that no state is kept), gRPC's "PROTOCOL-HTTP2" (a message is a zero byte, a four-byte length, and its bytes), and
protobuf.dev, "Encoding" (a key is field number << 3 | wire type; wire type 0 is a varint, 2 is length-delimited).
Of a response's header blocks only the end of the stream matters: a stream that ends without a message was refused.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _PADDED, _ACK = 1, 4, 8, 1
_HEADER_SIZE, _LARGEST_FRAME = 9, 16384  # bytes, of a frame: RFC 9113, 4.1 and 4.2
# :method POST, :scheme http; then :path, :authority, content-type by index; te by name.
_FIXED_FIELDS = b"\x83\x86"
_CONTENT_TYPE = b"\x0f\x10\x10application/grpc"
_TE = b"\x00\x02te\x08trailers"
_VARINT, _BYTES = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}  # bytes, by wire type

Question = tuple[str, bytes]  # a method, and the message for it
Answers = Sequence[bytes | None]  # a message for each question, None where the call was refused


class ProtocolError(OSError):
    """The peer does not speak HTTP/2 or protobuf, or ended the connection."""


class Client:
    """State of one connection: `outgoing` is to be sent, `greeted` whether the server has spoken HTTP/2."""

    def __init__(self, authority: str) -> None:
        self.outgoing = bytearray(PREFACE + _frame(_SETTINGS, 0, 0, b""))
        self.greeted = False
        self._authority = authority.encode()
        self._incoming = bytearray()
        self._open: dict[int, bytearray] = {}
        self._answers: dict[int, bytes | None] = {}
        self._next = 1

    def ask(self, questions: Iterable[Question], seconds: float = 0.0) -> None:
        """Begin a round: queue unary calls of at most 64 KB, the window every server grants; `seconds` (0: none) is their timeout."""
        self._answers = {}
        timeout = b"\x00\x0cgrpc-timeout" + _string(b"%dm" % (seconds * 1000)) if seconds else b""
        for method, message in questions:
            stream, self._next = self._next, self._next + 2
            self._answers[stream], self._open[stream] = None, bytearray()
            path, authority = b"\x04" + _string(method.encode()), b"\x01" + _string(self._authority)
            block = _FIXED_FIELDS + path + authority + _CONTENT_TYPE + _TE + timeout
            self.outgoing += _frame(_HEADERS, _END_HEADERS, stream, block)
            framed = _framed(message)
            for start in range(0, len(framed), _LARGEST_FRAME):
                end = start + _LARGEST_FRAME
                self.outgoing += _frame(_DATA, _END_STREAM if end >= len(framed) else 0, stream, framed[start:end])

    @property
    def answers(self) -> Answers | None:
        """Return the answers of the round, None until the server has greeted and every call has ended."""
        return list(self._answers.values()) if self.greeted and not self._open else None

    def receive(self, data: bytes) -> None:
        """Handle bytes from the server; ProtocolError ends the connection."""
        self._incoming += data
        while len(self._incoming) >= _HEADER_SIZE:
            size = int.from_bytes(self._incoming[:3], "big")
            kind, flags, stream = struct.unpack_from(">BBI", self._incoming, 3)
            if not self.greeted and kind != _SETTINGS:
                raise ProtocolError("something that is not a gRPC server answers there")
            end = _HEADER_SIZE + size
            if len(self._incoming) < end:
                break
            body = bytes(self._incoming[_HEADER_SIZE:end])
            del self._incoming[:end]
            self._handle_frame(kind, flags, stream & 0x7FFFFFFF, body)

    def _handle_frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == _GOAWAY:
            raise ProtocolError("the server ended the connection")
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            self.greeted = True
            self.outgoing += _frame(kind, _ACK, 0, body if kind == _PING else b"")
        if stream not in self._open:
            return
        if kind == _DATA and body:
            self._open[stream] += body[1 : len(body) - body[0]] if flags & _PADDED else body
            for target in (0, stream):  # let the server send as much again
                self.outgoing += _frame(_WINDOW_UPDATE, 0, target, struct.pack(">I", len(body)))
        if kind == _RST_STREAM:
            del self._open[stream]
        elif kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            framed = bytes(self._open.pop(stream))
            whole = framed == _framed(framed[5:])  # and not compressed
            self._answers[stream] = framed[5:] if whole else None


def encode(fields: Mapping[int, int | str | bytes]) -> bytes:
    """Encode a message from field numbers and values: non-negative integers, strings, and encoded messages."""
    message = b""
    for field, value in fields.items():
        if isinstance(value, int):
            message += _varint(field << 3 | _VARINT) + _varint(value)
        else:
            octets = value.encode() if isinstance(value, str) else value
            message += _varint(field << 3 | _BYTES) + _varint(len(octets)) + octets
    return message


def decode(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number and value, an integer or bytes; ProtocolError when the message is cut off."""
    rest = memoryview(message)
    while rest:
        key, rest = _read_varint(rest)
        kind = key & 7
        if kind == _VARINT:
            value, rest = _read_varint(rest)
            yield key >> 3, value
            continue
        size = _FIXED_SIZES.get(kind, 0)
        if kind == _BYTES:
            size, rest = _read_varint(rest)
        elif not size:
            raise ProtocolError(f"wire type {kind} is not one of protobuf's")
        if size > len(rest):
            raise ProtocolError("the message ends within a field")
        yield key >> 3, bytes(rest[:size])
        rest = rest[size:]


def byte_strings(message: bytes, field: int) -> list[bytes]:
    """Return the values of a length-delimited field, in order; an absent one gives an empty list."""
    return [value for found, value in decode(message) if found == field and isinstance(value, bytes)]


def integer(message: bytes, field: int) -> int:
    """Return the value of an integer field, 0 when it is absent."""
    return next((value for found, value in decode(message) if found == field and isinstance(value, int)), 0)


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + body


def _string(value: bytes) -> bytes:
    """Encode a string literal of RFC 7541, 5.2, without Huffman coding."""
    if len(value) < 127:
        return bytes((len(value),)) + value
    return b"\x7f" + _varint(len(value) - 127) + value


def _framed(message: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(message)) + message


def _varint(value: int) -> bytes:
    """Encode a number in groups of seven bits, lowest first, as protobuf's varints and the tail of HPACK's integers are."""
    return bytes((value,)) if value < 0x80 else bytes((value & 0x7F | 0x80,)) + _varint(value >> 7)


def _read_varint(message: memoryview) -> tuple[int, memoryview]:
    value = 0
    for index, byte in enumerate(message[:10]):  # the longest
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, message[index + 1 :]
    raise ProtocolError("a number does not end")
