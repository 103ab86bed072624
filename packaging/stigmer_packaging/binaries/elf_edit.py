"""The edits that strip and objcopy make to ELF files, on any host and for any architecture.

Only the standard library is imported, since PyInstaller's process uses this module too. Source: the System V ABI,
chapter 4.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

_SECTION = struct.Struct("<2I4Q2I2Q")
_SEGMENT = struct.Struct("<2I6Q")
_ALLOCATED, _NO_CONTENT, _STRINGS, _CONTENT = 0x2, 8, 3, 1
_HAS_INDEX_IN_INFO = 0x40  # SHF_INFO_LINK
_RELOCATIONS = (4, 9)


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


def strip(content: bytes, added: Mapping[str, bytes] | None = None) -> bytes:
    """Remove the sections that are not loaded, such as the symbol table and debugging information; append `added`.

    Content in front of loaded content stays, without a section. Raise ValueError for a file that is not 64-bit and
    little-endian.
    """
    if content[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    sections, names = _read_sections(content)
    kept = [number for number, each in enumerate(sections) if not number or each.flags & _ALLOCATED]
    numbers = {old: new for new, old in enumerate(kept)}
    ends = [each.offset + each.size for number in kept if (each := sections[number]).kind != _NO_CONTENT]
    body = bytearray(content[: max(end_of_segments(content), *ends)])
    strings, written = bytearray(b"\0"), []
    for number in kept:
        each = sections[number]
        info = numbers.get(each.info, 0) if each.flags & _HAS_INDEX_IN_INFO or each.kind in _RELOCATIONS else each.info
        name = _intern(strings, names[each.name : names.index(0, each.name)]) if number else 0
        written.append(each._replace(name=name, link=numbers.get(each.link, 0), info=info))
    for title, data in (added or {}).items():
        written.append(_append(body, data, _intern(strings, title.encode()), _CONTENT))
    own = _intern(strings, b".shstrtab")
    written.append(_append(body, bytes(strings), own, _STRINGS))
    body += bytes(-len(body) % 8)
    struct.pack_into("<Q", body, 40, len(body))
    struct.pack_into("<2H", body, 60, len(written), len(written) - 1)
    return bytes(body + b"".join(_SECTION.pack(*each) for each in written))


def _read_sections(content: bytes) -> tuple[list[_Section], bytes]:
    """Return the sections and their string table; without a section header table, a null section and no names."""
    (start,) = struct.unpack_from("<Q", content, 40)
    count, name_index = struct.unpack_from("<2H", content, 60)
    offsets = range(start, start + count * _SECTION.size, _SECTION.size)
    sections = [_Section(*_SECTION.unpack_from(content, offset)) for offset in offsets]
    if not sections:
        return [_Section(*[0] * 10)], b"\0"
    table = sections[name_index]
    return sections, content[table.offset : table.offset + table.size]


def end_of_segments(content: bytes) -> int:
    """Return the offset at which the last segment ends, or the program header table if that ends later."""
    (start,) = struct.unpack_from("<Q", content, 32)
    (count,) = struct.unpack_from("<H", content, 56)
    ends: list[int] = [start + count * _SEGMENT.size]
    for number in range(count):
        _, _, offset, _, _, size, *_ = _SEGMENT.unpack_from(content, start + number * _SEGMENT.size)
        ends.append(offset + size)
    return max(ends)


def _intern(strings: bytearray, name: bytes) -> int:
    """Append a name to the string table and return its offset."""
    offset = len(strings)
    strings += name + b"\0"
    return offset


def _append(body: bytearray, data: bytes, name: int, kind: int) -> _Section:
    offset = len(body)
    body += data
    return _Section(name, kind, 0, 0, offset, len(data), 0, 0, 1, 0)
