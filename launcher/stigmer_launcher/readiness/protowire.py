"""The part of the protobuf wire format that the messages of the readiness checks need.

Source: protobuf.dev, "Encoding": a key is (field number << 3 | wire type); wire type 0 is a varint, 2 is length-delimited.
"""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def number(field: int, value: int) -> bytes:
    """Encode a non-negative integer or an enumeration's value."""
    return varint(field << 3 | _VARINT) + varint(value)


def octets(field: int, value: bytes) -> bytes:
    """Encode a message, which is bytes already."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """Encode a string."""
    return octets(field, value.encode())


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number and value, an integer or bytes; raise ValueError when the message is cut off."""
    place = 0
    while place < len(message):
        key, place = _read_varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _read_varint(message, place)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, place = _read_varint(message, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} is not one of protobuf's")
        if place + size > len(message):
            raise ValueError("the message ends within a field")
        yield key >> 3, message[place : place + size]
        place += size


def strings(message: bytes, field: int) -> list[bytes]:
    """Return the values of a length-delimited field, in order; an absent one gives an empty list."""
    return [value for found, value in fields(message) if found == field and isinstance(value, bytes)]


def integer(message: bytes, field: int) -> int:
    """Return the value of an integer field, 0 when it is absent."""
    return next((value for found, value in fields(message) if found == field and isinstance(value, int)), 0)


def varint(value: int) -> bytes:
    """Encode a number in groups of seven bits, the lowest first; HPACK's integers go on so, too."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        if place + count >= len(message):
            raise ValueError("the message ends within a number")
        byte = message[place + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, place + count + 1
    raise ValueError("a number of more than ten bytes")
