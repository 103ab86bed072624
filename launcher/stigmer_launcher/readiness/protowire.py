"""The part of the protobuf wire format that the messages of the readiness checks need.

Source: protobuf.dev, "Encoding": a key is (field number << 3 | wire type); wire type 0 is a varint, 2 is length-delimited.
"""

from collections.abc import Iterator, Mapping

_VARINT, _BYTES = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}  # bytes, by wire type


class ProtocolError(OSError):
    """What answers does not speak HTTP/2 or protobuf, or ended the connection."""


def encode(fields: Mapping[int, int | str | bytes]) -> bytes:
    """Encode a message: its fields are non-negative integers, strings, and messages that are encoded already."""
    message = b""
    for field, value in fields.items():
        if isinstance(value, int):
            message += varint(field << 3 | _VARINT) + varint(value)
        else:
            octets = value.encode() if isinstance(value, str) else value
            message += varint(field << 3 | _BYTES) + varint(len(octets)) + octets
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
        if kind == _BYTES:
            size, rest = _read_varint(rest)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ProtocolError(f"wire type {kind} is not one of protobuf's")
        if size > len(rest):
            raise ProtocolError("the message ends within a field")
        yield key >> 3, bytes(rest[:size])
        rest = rest[size:]


def strings(message: bytes, field: int) -> list[bytes]:
    """Return the values of a length-delimited field, in order; an absent one gives an empty list."""
    return [value for found, value in decode(message) if found == field and isinstance(value, bytes)]


def integer(message: bytes, field: int) -> int:
    """Return the value of an integer field, 0 when it is absent."""
    return next((value for found, value in decode(message) if found == field and isinstance(value, int)), 0)


def varint(value: int) -> bytes:
    """Encode a number in groups of seven bits, the lowest first; HPACK's integers go on so, too."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def _read_varint(message: memoryview) -> tuple[int, memoryview]:
    """Read a number of at most ten bytes, and return what follows it."""
    value = 0
    for place, byte in enumerate(message[:10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, message[place + 1 :]
    raise ProtocolError("a number does not end")
