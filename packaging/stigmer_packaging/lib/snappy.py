"""Decompression of snappy's raw format, without frames, in which GitHub stores attestations.

Source: google/snappy, format_description.txt.
"""

import io

_SIZE_FOLLOWS = 60  # a longer literal has its size in the 1 to 4 bytes after the tag


def decompress(data: bytes) -> bytes:
    """Return the decompressed bytes; ValueError if the data are damaged."""
    stream, output = io.BytesIO(data), bytearray()
    size = _read_size(stream)
    while tag := stream.read(1):
        _read_element(tag[0], stream, output)
    if len(output) != size:
        raise ValueError(f"{len(output)} bytes after decompression; expected {size}")
    return bytes(output)


def _read_size(stream: io.BytesIO) -> int:
    """Read the size after decompression: seven bits in each byte, the lowest ones first."""
    size = shift = 0
    while (byte := _read_number(stream, 1)) & 0x80:
        size |= (byte & 0x7F) << shift
        shift += 7
    return size | byte << shift


def _read_element(tag: int, stream: io.BytesIO, output: bytearray) -> None:
    """Append a literal, or a copy of earlier output."""
    kind, value = tag & 3, tag >> 2
    if kind == 0:
        width = max(value - _SIZE_FOLLOWS + 1, 0)
        output += _read(stream, 1 + (_read_number(stream, width) if width else value))
    elif kind == 1:
        _copy(output, (value >> 3) << 8 | _read_number(stream, 1), (value & 7) + 4)
    else:
        _copy(output, _read_number(stream, 2 if kind == 2 else 4), value + 1)


def _copy(output: bytearray, offset: int, size: int) -> None:
    """Append earlier output; if it ends before `size` bytes, it is repeated."""
    if not 0 < offset <= len(output):
        raise ValueError("a copy refers to what is before the output")
    source = output[-offset:]
    output += (source * (size // offset + 1))[:size]


def _read_number(stream: io.BytesIO, width: int) -> int:
    return int.from_bytes(_read(stream, width), "little")


def _read(stream: io.BytesIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("the data are cut off")
    return data
