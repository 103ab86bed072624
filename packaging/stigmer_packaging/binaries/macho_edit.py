"""The edits that lipo, install_name_tool and strip make to Mach-O files on a Mac, on any host.

All edits except `thin` take a thin 64-bit file and return it without a signature, which an edit would invalidate. Sign
it with `codesign.sign` after the last edit. Source: Apple's mach-o/loader.h, mach-o/fat.h and mach-o/nlist.h.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

SEGMENT, CODE_SIGNATURE = 0x19, 0x1D
MAIN_EXECUTABLE = 2
CPUS = {"amd64": 0x01000007, "arm64": 0x0100000C}
HEADER = 32
_MAGIC = 0xFEEDFACF
_FAT, _FAT_64 = 0xCAFEBABE, 0xCAFEBABF
_ID_DYLIB, _RPATH, _SYMTAB, _DYSYMTAB = 0xD, 0x8000001C, 0x2, 0xB
_LOADS = (0xC, 0x80000018, 0x8000001F, 0x80000023, 0x20)  # load, weak, reexport, upward, lazy
_RPATH_HEAD = 12
_SYMBOL = struct.Struct("<IBBHQ")  # nlist_64: name, type, section, description, value
_LINKEDIT_DATA = (0x1E, 0x26, 0x29, 0x2B, 0x2E, 0x36, 0x37, 0x38, 0x3A, 0x80000033, 0x80000034)
_LINKEDIT: Mapping[int, tuple[tuple[int, int], ...]] = {
    _SYMTAB: ((8, _SYMBOL.size), (16, 1)),
    _DYSYMTAB: ((56, 4),),
    **dict.fromkeys(_LINKEDIT_DATA, ((8, 1),)),  # linkedit_data_command
    **dict.fromkeys((0x22, 0x80000022), tuple((field, 1) for field in range(8, 48, 8))),  # dyld_info_command
}
"""For each command with tables in __LINKEDIT: the position of each table's offset in it, and the bytes per entry."""

_STAB, _EXTERNAL, _TYPE = 0xE0, 0x01, 0x0E
_LOCAL_STUB = 0x80000000  # INDIRECT_SYMBOL_LOCAL
_PAGE = 0x4000


class Segment(NamedTuple):
    """A segment: its command's index, its name, and the address and size of its content in memory and in the file."""

    number: int
    name: bytes
    address: int
    memory: int
    offset: int
    size: int


class _Table(NamedTuple):
    """A table in __LINKEDIT; `field` is the index of the command, and the position in it, that hold its offset."""

    field: tuple[int, int]
    offset: int
    content: bytes


def thin(content: bytes, architecture: str) -> bytes:
    """Return the slice of a fat file for an architecture, or a thin file for it unchanged; else raise ValueError."""
    cpu = CPUS[architecture]
    magic, count = struct.unpack_from(">2I", content)
    if magic in {_FAT, _FAT_64}:
        form = struct.Struct(">2I2I4x" if magic == _FAT else ">2I2Q8x")
        slices = (form.unpack_from(content, 8 + form.size * index) for index in range(count))
        found = (content[start : start + size] for kind, _, start, size in slices if kind == cpu)
        content = next(found, b"")
    if struct.unpack("<2I", content[:8].ljust(8, b"\0")) != (_MAGIC, cpu):
        raise ValueError(f"Mach-O file without code for {architecture}")
    return content


def read_links(content: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the libraries that a thin file needs, and its rpaths."""
    commands = read_commands(content)
    names = tuple(_text(command) for command in commands if _kind(command) in _LOADS)
    return names, tuple(_text(command) for command in commands if _kind(command) == _RPATH)


def set_names(content: bytes, *, identity: str, libraries: Mapping[str, str], rpaths: Sequence[str]) -> bytes:
    """Change a library's install name, rename needed libraries according to `libraries`, and replace all rpaths.

    Libraries that are not in `libraries` keep their names. Raise ValueError if longer load commands do not fit.
    """
    commands = []
    for command in read_commands(content := remove_signature(content)):
        kind = _kind(command)
        if kind == _ID_DYLIB:
            commands.append(_with_text(_head(command), identity))
        elif kind in _LOADS and (name := libraries.get(_text(command))):
            commands.append(_with_text(_head(command), name))
        elif kind != _RPATH:
            commands.append(command)
    added = [_with_text(struct.pack("<3I", _RPATH, 0, _RPATH_HEAD), path) for path in rpaths]
    return write_commands(content, [*commands, *added])


def strip(content: bytes) -> bytes:
    """Remove debugging and local symbols, as `strip -S -x` does, and keep those that other files can bind to.

    A file with relocations that refer to symbols by number, which no current linker writes, only loses its signature.
    """
    content = remove_signature(content)
    commands = read_commands(content)
    kinds = [_kind(command) for command in commands]
    if _SYMTAB not in kinds or _DYSYMTAB not in kinds:
        return content
    symtab, dysymtab = kinds.index(_SYMTAB), kinds.index(_DYSYMTAB)
    if any(struct.unpack_from("<I", commands[dysymtab], field)[0] for field in (36, 44, 52, 68, 76)):
        return content
    kept, symbols, strings = _kept_symbols(content, commands[symtab])
    new = {(symtab, 8): symbols, (symtab, 16): strings}
    tables = []
    for table in sorted(_tables(content, commands), key=lambda table: table.offset):
        changed = _renumbered(table.content, kept) if table.field == (dysymtab, 56) else new.get(table.field)
        tables.append(table if changed is None else table._replace(content=changed))
    commands[symtab] = commands[symtab][:8] + struct.pack("<4I", 0, len(symbols) // _SYMBOL.size, 0, len(strings))
    commands[dysymtab] = _patched_groups(commands[dysymtab], symbols)
    return _laid_out(content, commands, tables)


def remove_signature(content: bytes) -> bytes:
    """Remove the signature, if any, and the padding before it, so that the file ends with the string table again."""
    commands = read_commands(content)
    found = next((command for command in commands if _kind(command) == CODE_SIGNATURE), None)
    if found is None:
        return content
    (end,) = struct.unpack_from("<I", found, 8)
    last = max((table.offset + len(table.content) for table in _tables(content, commands)), default=end)
    end = last if 0 <= end - last < 16 else end
    kept = [command for command in commands if _kind(command) != CODE_SIGNATURE]
    return resize_linkedit(write_commands(content, kept)[:end])


def read_commands(content: bytes) -> list[bytes]:
    """Return the load commands of a thin 64-bit file; raise ValueError for any other file."""
    magic, count = struct.unpack_from("<I12xI", content)
    if magic != _MAGIC:
        raise ValueError("not a thin 64-bit Mach-O file")
    commands, offset = [], HEADER
    for _ in range(count):
        size = struct.unpack_from("<I", content, offset + 4)[0]
        commands.append(content[offset : offset + size])
        offset += size
    return commands


def write_commands(content: bytes, commands: Sequence[bytes]) -> bytes:
    """Replace the load commands of a file; raise ValueError if they do not fit before its first section."""
    body = b"".join(commands)
    old = HEADER + struct.unpack_from("<I", content, 20)[0]
    if HEADER + len(body) > max(old, _first_section(content)):
        raise ValueError(f"no room for {len(body)} bytes of load commands; link with -headerpad_max_install_names")
    head = content[:16] + struct.pack("<2I", len(commands), len(body)) + content[24:HEADER]
    end = max(old, HEADER + len(body))
    return head + body.ljust(end - HEADER, b"\0") + content[end:]


def segments(commands: Sequence[bytes]) -> Iterator[Segment]:
    """Yield the segments among the load commands."""
    for index, command in enumerate(commands):
        if _kind(command) == SEGMENT:
            yield Segment(index, command[8:24].rstrip(b"\0"), *struct.unpack_from("<4Q", command, 24))


def resize_linkedit(content: bytes) -> bytes:
    """Resize the segment __LINKEDIT so that it ends with the file."""
    commands = read_commands(content)
    for found in segments(commands):
        if found.name == b"__LINKEDIT":
            size = len(content) - found.offset
            sizes = struct.pack("<4Q", found.address, -(-size // _PAGE) * _PAGE, found.offset, size)
            commands[found.number] = commands[found.number][:24] + sizes + commands[found.number][56:]
    return write_commands(content, commands)


def _kind(command: bytes) -> int:
    return int.from_bytes(command[:4], "little")


def _head(command: bytes) -> bytes:
    """Return what precedes the text: in a dylib_use_command, also flags such as DYLIB_USE_DELAYED_INIT."""
    return command[: int.from_bytes(command[8:12], "little")]


def _text(command: bytes) -> str:
    return command[len(_head(command)) :].partition(b"\0")[0].decode()


def _with_text(head: bytes, text: str) -> bytes:
    body = head + text.encode() + b"\0"
    body = body.ljust(-(-len(body) // 8) * 8, b"\0")
    return body[:4] + struct.pack("<2I", len(body), len(head)) + body[12:]


def _first_section(content: bytes) -> int:
    commands = read_commands(content)
    starts = [len(content), *(found.offset for found in segments(commands) if found.offset)]
    for segment in (command for command in commands if _kind(command) == SEGMENT):
        for section in range(72, 72 + 80 * struct.unpack_from("<I", segment, 64)[0], 80):
            size, start = struct.unpack_from("<QI", segment, section + 40)
            starts += [start] if size and start else []
    return min(starts)


def _tables(content: bytes, commands: Sequence[bytes]) -> Iterator[_Table]:
    """Yield the tables in __LINKEDIT, without the signature."""
    for index, command in enumerate(commands):
        for field, width in _LINKEDIT.get(_kind(command), ()):
            offset, count = struct.unpack_from("<2I", command, field)
            if count:
                yield _Table((index, field), offset, content[offset : offset + count * width])


def _kept_symbols(content: bytes, symtab: bytes) -> tuple[dict[int, int], bytes, bytes]:
    """Return a map from the old to the new index of each kept symbol, the new symbol table, and its string table."""
    start, count, names, _ = struct.unpack_from("<4I", symtab, 8)
    kept: dict[int, int] = {}
    symbols, strings = bytearray(), bytearray(b" \0")
    for number in range(count):
        name, kind, *rest = _SYMBOL.unpack_from(content, start + number * _SYMBOL.size)
        if kind & _EXTERNAL and not kind & _STAB:
            kept[number] = len(kept)
            symbols += _SYMBOL.pack(len(strings), kind, *rest)
            strings += content[names + name : content.index(0, names + name) + 1]
    return kept, bytes(symbols), bytes(strings.ljust(-(-len(strings) // 8) * 8, b"\0"))


def _renumbered(stubs: bytes, kept: Mapping[int, int]) -> bytes:
    numbers = struct.unpack(f"<{len(stubs) // 4}I", stubs)
    new = (number if number & 0xC0000000 else kept.get(number, _LOCAL_STUB) for number in numbers)
    return struct.pack(f"<{len(numbers)}I", *new)


def _patched_groups(dysymtab: bytes, symbols: bytes) -> bytes:
    """Set the sizes of the symbol groups: no local, the defined external, and the undefined symbols."""
    kinds = [kind & _TYPE for _, kind, *_ in _SYMBOL.iter_unpack(symbols)]
    defined = sum(kind != 0 for kind in kinds)
    return dysymtab[:8] + struct.pack("<6I", 0, 0, 0, defined, defined, len(kinds) - defined) + dysymtab[32:]


def _laid_out(content: bytes, commands: list[bytes], tables: Sequence[_Table]) -> bytes:
    """Write the tables of __LINKEDIT one after the other, and update their offsets in the load commands."""
    start = next(found.offset for found in segments(commands) if found.name == b"__LINKEDIT")
    body = bytearray()
    for table in tables:
        body = body.ljust(-(-len(body) // 8) * 8, b"\0")
        number, field = table.field
        offset = struct.pack("<I", start + len(body) if table.content else 0)
        commands[number] = commands[number][:field] + offset + commands[number][field + 4 :]
        body += table.content
    return resize_linkedit(write_commands(content[:start] + body, commands))
