"""The gRPC and protobuf client at the level of bytes: what it sends, and how it handles answers."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_launcher.readiness import grpc
from stigmer_launcher.readiness.grpc import PREFACE, Client, ProtocolError
from support.fake_services import frame

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
OK = b"\x88"


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Split data into frames of kind, flags, stream and body."""
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def framed(message: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(message)) + message


def connected_client() -> Client:
    """Return a client that has received the server's settings and has nothing left to send."""
    client = Client("127.0.0.1:1")
    client.receive(frame(SETTINGS, 0, 0))
    client.outgoing.clear()
    return client


def test_the_client_sends_preface_and_settings_and_acknowledges_those_of_the_server() -> None:
    """A server does not answer before it has them; its own settings prove that it speaks HTTP/2."""
    client = Client("127.0.0.1:7233")
    assert bytes(client.outgoing).startswith(PREFACE)
    assert frames(bytes(client.outgoing)[len(PREFACE) :]) == [(SETTINGS, 0, 0, b"")]
    client.outgoing.clear()
    before = client.greeted
    client.receive(frame(SETTINGS, 0, 0, b"\0\3\0\0\0\x64"))
    assert (before, client.greeted) == (False, True)
    assert frames(bytes(client.outgoing)) == [(SETTINGS, ACK, 0, b"")]


def test_a_call_sends_its_headers_and_its_message() -> None:
    """One header block without dynamic table entries, and one data frame that ends the stream."""
    client = connected_client()
    client.ask([("/a.B/C", b"xyz")])
    (_, header_flags, stream, block), data = frames(bytes(client.outgoing))
    assert (header_flags, stream) == (END_HEADERS, 1)
    assert block.startswith(b"\x83\x86\x04\x06/a.B/C\x01\x0b127.0.0.1:1")
    assert block.endswith(b"\x00\x02te\x08trailers")
    assert data == (DATA, END_STREAM, 1, framed(b"xyz"))
    client.outgoing.clear()
    client.ask([("/a.B/C", b"")], 1.5)
    assert frames(bytes(client.outgoing))[0][3].endswith(b"\x00\x0cgrpc-timeout\x051500m"), "the deadline of the call"


def test_a_long_method_and_a_long_message_are_encoded_according_to_the_rfcs() -> None:
    """The length of a string above 126 bytes takes several bytes; a message above 16384 bytes takes several frames."""
    client = connected_client()
    client.ask([("/" + "m" * 300, b"x" * 40000)])
    sent = frames(bytes(client.outgoing))
    assert sent[0][3][2:6] == bytes((0x04, 0x7F, (301 - 127) & 0x7F | 0x80, (301 - 127) >> 7))
    assert [len(body) for _, _, _, body in sent[1:]] == [16384, 16384, 40005 - 32768]
    assert [flags for _, flags, _, _ in sent[1:]] == [0, 0, END_STREAM]


def answer(stream: int, message: bytes) -> bytes:
    return (
        frame(HEADERS, END_HEADERS, stream, OK)
        + frame(DATA, 0, stream, framed(message))
        + frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\x00\x0bgrpc-status\x010")
    )


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.integers(1, 40))
def test_answers_are_complete_however_the_network_splits_them(messages: list[bytes], size: int) -> None:
    client = connected_client()
    client.ask([("/a/b", b"") for _ in messages])
    streams = [1, 3, 5, 7][: len(messages)]  # streams of clients have odd numbers
    data = b"".join(answer(stream, message) for stream, message in zip(streams, messages, strict=True))
    for start in range(0, len(data), size):
        assert client.answers is None
        client.receive(data[start : start + size])
    assert client.answers == messages


def test_answers_are_in_the_order_of_the_calls_and_replace_earlier_ones() -> None:
    client = connected_client()
    for first in (1, 5):
        client.ask([("/a/b", b""), ("/a/c", b"")])
        client.receive(answer(first + 2, b"second"))
        assert client.answers is None
        client.receive(answer(first, b"first"))
        assert client.answers == [b"first", b"second"]


def test_a_message_in_several_padded_frames_is_reassembled() -> None:
    """Window updates let the server send as much again, on the stream and on the connection."""
    client, call, body = connected_client(), 1, framed(b"hello world")
    client.ask([("/a/b", b"")])
    client.outgoing.clear()
    client.receive(frame(DATA, PADDED, call, b"\x03" + body[:7] + b"\0\0\0"))
    client.receive(frame(DATA, END_STREAM, call, body[7:]))
    assert client.answers == [b"hello world"]
    updates = [(stream, int.from_bytes(body, "big")) for kind, _, stream, body in frames(bytes(client.outgoing))]
    assert updates[:2] == [(0, 11), (call, 11)]


@pytest.mark.parametrize(
    "refusal",
    [
        frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88\x00\x0bgrpc-status\x0214"),
        frame(RST_STREAM, 0, 1, b"\0\0\0\7"),
        frame(DATA, END_STREAM, 1, b"\0\0\0\0\x09abc"),
        frame(DATA, END_STREAM, 1, b"\1\0\0\0\x03abc"),
    ],
    ids=["trailers only", "reset", "truncated", "compressed"],
)
def test_a_call_without_a_complete_message_has_no_answer(refusal: bytes) -> None:
    client = connected_client()
    client.ask([("/a/b", b"")])
    client.receive(refusal)
    assert client.answers == [None]


def test_pings_are_answered_and_other_frames_are_ignored() -> None:
    """Such as window updates, acknowledgements and frames of closed streams."""
    client = connected_client()
    other = frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") + frame(SETTINGS, ACK, 0) + frame(DATA, END_STREAM, 9, b"x")
    client.receive(other + frame(PING, 0, 0, b"12345678") + frame(PING, ACK, 0, b"87654321"))
    assert frames(bytes(client.outgoing)) == [(PING, ACK, 0, b"12345678")]


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"220 smtp.example ESMTP\r\n", b"\0" * 9])
def test_a_peer_that_does_not_speak_http2_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a gRPC server"):
        Client("127.0.0.1:1").receive(data)


def test_a_goaway_ends_the_connection() -> None:
    """Open calls will never be answered."""
    with pytest.raises(ProtocolError, match="ended"):
        connected_client().receive(frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0"))


@given(st.integers(1, 500), st.integers(0, 2**63 - 1), st.text(max_size=300))
def test_protobuf_fields_are_decoded_as_they_were_encoded(number: int, value: int, text: str) -> None:
    message = grpc.encode({number: value, number + 1: text})
    assert list(grpc.decode(message)) == [(number, value), (number + 1, text.encode())]
    assert grpc.integer(message, number) == value
    assert grpc.byte_strings(message, number + 1) == [text.encode()]


def test_protobuf_fields_of_fixed_size_are_skipped() -> None:
    """Temporal's answers contain such fields."""
    message = b"\x09" + b"12345678" + b"\x15" + b"1234" + grpc.encode({3: 7})
    assert grpc.integer(message, 3) == 7
    assert grpc.integer(message, 4) == 0


@given(st.binary(max_size=40))
def test_any_bytes_decode_to_a_message_or_a_protocol_error(data: bytes) -> None:
    """Nonsense from a server must not raise any other exception."""
    try:
        list(grpc.decode(data))
    except ProtocolError:
        return
