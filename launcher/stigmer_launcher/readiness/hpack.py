"""Reading why a gRPC call was refused: the literal fields of an HTTP/2 header block. Loaded only to report a failure.

Source: RFC 7541. The Huffman code of its appendix B is canonical: codes follow from their lengths, in the order of length
and symbol. Only what gRPC puts into its fields, printable ASCII, is kept here; nothing longer precedes it.
"""

_SYMBOLS = {
    5: "012aceiost",
    6: " %-./3456789=A_bdfghlmnpru",
    7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: "&*,;XZ",
    10: '!"()?',
    11: "'+|",
    12: "#>",
    13: "\0$@[]~",
    14: "^}",
    15: "<`{",
    19: "\\",
}


def literal_fields(block: bytes) -> dict[str, str]:
    """Give the fields whose name is spelled out in the block; ValueError when the block is cut off or no HPACK."""
    found: dict[str, str] = {}
    place = 0
    try:
        while place < len(block):
            first = block[place]
            if first & 0x80:  # an indexed field
                _, place = _integer(block, place, 7)
            elif first & 0xE0 == 0x20:  # a change of the table's size
                _, place = _integer(block, place, 5)
            else:
                index, place = _integer(block, place, 6 if first & 0x40 else 4)
                name, place = ("", place) if index else _string(block, place)
                value, place = _string(block, place)
                found[name] = value
    except IndexError:
        raise ValueError("the header block is cut off") from None
    found.pop("", None)
    return found


def _integer(block: bytes, place: int, prefix: int) -> tuple[int, int]:
    limit = (1 << prefix) - 1
    value, place, shift = block[place] & limit, place + 1, 0
    if value < limit:
        return value, place
    while True:
        byte = block[place]
        value, place, shift = value + ((byte & 0x7F) << shift), place + 1, shift + 7
        if not byte & 0x80:
            return value, place


def _string(block: bytes, place: int) -> tuple[str, int]:
    coded = block[place] & 0x80
    size, place = _integer(block, place, 7)
    if place + size > len(block):
        raise IndexError
    raw = block[place : place + size]
    return (_decode(raw) if coded else raw.decode("latin-1")), place + size


def _decode(coded: bytes) -> str:
    codes = _codes()
    text, code, size = "", 0, 0
    for byte in coded:
        for bit in range(7, -1, -1):
            code, size = code << 1 | byte >> bit & 1, size + 1
            if symbol := codes.get((size, code)):
                text, code, size = text + symbol, 0, 0
    return text


def _codes() -> dict[tuple[int, int], str]:
    """Work the code out: each next one is the last plus one, shifted when the length grows."""
    codes: dict[tuple[int, int], str] = {}
    code, before = 0, 5
    for size, symbols in _SYMBOLS.items():
        code <<= size - before
        before = size
        for symbol in symbols:
            codes[size, code] = symbol
            code += 1
    return codes
