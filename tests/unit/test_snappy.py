"""Decompression of snappy's raw format; the compressed bytes are written by hand, by its description."""

import pytest

from stigmer_packaging.lib.snappy import decompress


@pytest.mark.parametrize(
    ("compressed", "expected"),
    [
        (b"\x00", b""),
        (b"\x03\x08abc", b"abc"),
        (b"\xc8\x01\xf0\xc7" + b"a" * 200, b"a" * 200),
        (b"\x80\x02\xf4\xff\x00" + b"a" * 256, b"a" * 256),
        (b"\x08\x0cabcd\x01\x04", b"abcdabcd"),
        (b"\x07\x04ab\x12\x02\x00", b"abababa"),
        (b"\x02\x00a\x03\x01\x00\x00\x00", b"aa"),
        (b"\xac\x02\xf4\x2a\x01" + b"a" * 299 + b"\x00b", b"a" * 299 + b"b"),
    ],
    ids=["empty", "literal", "size in 1 byte", "size in 2 bytes", "copy", "copy of itself", "offset of 4 bytes", "two"],
)
def test_data_are_decompressed(compressed: bytes, expected: bytes) -> None:
    assert decompress(compressed) == expected


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x80",
        b"\x03\x08ab",
        b"\x03\xf0",
        b"\x04\x08abc",
        b"\x08\x0cabcd\x01",
        b"\x08\x0cabcd\x01\x05",
        b"\x05\x01\x00",
    ],
)
def test_damaged_data_are_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|expected|before the output"):
        decompress(damaged)
