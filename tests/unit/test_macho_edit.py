"""Thinning, renaming, stripping and signing Mach-O files without a Mac, and without other changes."""

import dataclasses
import struct

import lief
import pytest

from stigmer_packaging.binaries import codesign, macho_edit
from stigmer_packaging.binaries.macho import MachO, read_machos
from support.native_code import fat, go_program, macho

ARCHITECTURES = pytest.mark.parametrize("architecture", ["arm64", "amd64"])
SYSTEM = "/usr/lib/libSystem.B.dylib"


def read(content: bytes) -> MachO:
    (found,) = read_machos(content)
    return found


def set_search(program: bytes, folder: str) -> bytes:
    return macho_edit.set_names(program, identity="", libraries={}, rpaths=[folder])


def symbols_of(content: bytes) -> list[str]:
    parsed = lief.MachO.parse(content)
    assert parsed is not None
    return [str(symbol.name) for binary in parsed for symbol in binary.symbols]


def stubs_of(content: bytes) -> list[str]:
    """Return the names in the indirect symbol table, in its order."""
    parsed = lief.MachO.parse(content)
    assert parsed is not None
    commands = [binary.dynamic_symbol_command for binary in parsed]
    return [str(symbol.name) for command in commands if command for symbol in command.indirect_symbols]


def groups_of(content: bytes) -> tuple[int, ...]:
    """Return the first index and the size of each group: local, defined external, and undefined symbols."""
    parsed = lief.MachO.parse(content)
    assert parsed is not None
    (found,) = (command for binary in parsed if (command := binary.dynamic_symbol_command))
    external = found.idx_external_define_symbol, found.nb_external_define_symbols
    return (
        found.idx_local_symbol,
        found.nb_local_symbols,
        *external,
        found.idx_undefined_symbol,
        found.nb_undefined_symbols,
    )


@ARCHITECTURES
def test_a_fat_file_is_thinned_to_one_architecture(architecture: str) -> None:
    slices = {name: macho(name, identity=f"@rpath/{name}") for name in ("amd64", "arm64")}
    assert macho_edit.thin(fat(*slices.values()), architecture) == slices[architecture]
    assert macho_edit.thin(slices[architecture], architecture) == slices[architecture]


@pytest.mark.parametrize("content", [macho("amd64"), fat(macho("amd64")), b"\x7fELF", b""])
def test_a_file_without_code_for_the_architecture_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="without code for arm64"):
        macho_edit.thin(content.ljust(8, b"\0"), "arm64")


def test_names_and_search_paths_are_replaced() -> None:
    """Other libraries keep their order, because symbols are bound to libraries by number."""
    room = b"\0" * 400
    before = macho(identity="/build/libx.dylib", needed=(SYSTEM, "/opt/z/libz.dylib"), search=("/build",), content=room)
    after = macho_edit.set_names(
        before,
        identity="@rpath/libx.dylib",
        libraries={"/opt/z/libz.dylib": "@rpath/libz.dylib"},
        rpaths=("@loader_path/..", "@loader_path"),
    )
    found = read(after)
    assert found.identity == "@rpath/libx.dylib"
    assert [each.name for each in found.libraries] == [SYSTEM, "@rpath/libz.dylib"]
    assert found.search == ("@loader_path/..", "@loader_path")
    assert b"/build" not in after


@pytest.mark.parametrize("kind", [0xC, 0x80000018, 0x8000001F, 0x80000023, 0x20])
def test_a_library_is_renamed_however_it_is_loaded(kind: int) -> None:
    """Weakly, reexported, upward or lazily, too: dyld would not find it in the keg under the builder's name."""
    linked = macho(needed=("/build/libz.dylib",), search=("/build/lib",), content=bytes(400))
    linked = linked.replace(struct.pack("<I", 0xC), struct.pack("<I", kind), 1)
    assert macho_edit.read_links(linked) == (("/build/libz.dylib",), ("/build/lib",))
    named = macho_edit.set_names(linked, identity="", libraries={"/build/libz.dylib": "@rpath/libz.dylib"}, rpaths=[])
    assert [each.name for each in read(named).libraries] == ["@rpath/libz.dylib"]
    assert b"/build" not in named
    assert {len(command) % 8 for command in macho_edit.read_commands(named)} == {0}


def test_a_library_that_is_loaded_with_flags_keeps_them() -> None:
    """The fields are those of dylib_use_command in <mach-o/loader.h>; the flag is DYLIB_USE_DELAYED_INIT."""
    linked = macho(needed=("/build/libz.dylib",), content=bytes(400))
    commands = macho_edit.read_commands(linked)
    number = next(number for number, command in enumerate(commands) if b"/build" in command)
    fields = (0x80000018, 48, 28, 0x1A741800, 0x10000, 0x10000, 8)  # a weak one: whoever ignores flags loads it weakly
    commands[number] = struct.pack("<7I", *fields) + b"/build/libz.dylib".ljust(20, b"\0")
    content = macho_edit.write_commands(linked, commands)
    named = macho_edit.set_names(content, identity="", libraries={"/build/libz.dylib": "@rpath/libz.dylib"}, rpaths=[])
    (found,) = (command for command in macho_edit.read_commands(named) if b"@rpath" in command)
    assert struct.unpack_from("<7I", found) == fields
    assert found[28:] == b"@rpath/libz.dylib".ljust(20, b"\0")


def test_names_that_do_not_fit_before_the_first_section_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no room for .* link with -headerpad_max_install_names"):
        set_search(go_program("darwin", "arm64"), "@loader_path/" + "x" * 4096)


@ARCHITECTURES
def test_load_commands_may_fill_the_room_before_the_first_section(architecture: str) -> None:
    program = macho_edit.remove_signature(go_program("darwin", architecture))
    parsed = lief.MachO.parse(program)
    assert parsed is not None
    starts = [section.offset for binary in parsed for section in binary.sections if section.offset]
    used = 32 + sum(map(len, macho_edit.read_commands(program)))
    longest = "x" * (min(starts) - used - 13)
    assert set_search(program, longest)[min(starts) :] == program[min(starts) :]
    with pytest.raises(ValueError, match="no room"):
        set_search(program, f"{longest}x")


@ARCHITECTURES
def test_symbols_that_nothing_binds_to_are_stripped(architecture: str) -> None:
    """Debug symbols and local symbols are removed; those that dyld or another file looks up are kept."""
    program = go_program("darwin", architecture, "-linkmode=internal -buildid=")
    stripped = macho_edit.strip(program)
    assert len(stripped) < len(program) - 50_000
    named = set_search(stripped, "@loader_path/lib")
    assert read(named) == dataclasses.replace(read(program), flaws=None, search=("@loader_path/lib",))
    assert set(symbols_of(stripped)) < set(symbols_of(program))
    assert {bind.name for bind in read(program).binds} <= set(symbols_of(stripped))
    assert stubs_of(stripped) == stubs_of(program) != []
    assert macho_edit.strip(stripped) == stripped


LINKEDIT_DATA = [0x1E, 0x26, 0x29, 0x2B, 0x2E, 0x33 | 1 << 31, 0x34 | 1 << 31, 0x36, 0x37, 0x38, 0x3A]


@pytest.mark.parametrize("kind", LINKEDIT_DATA)
def test_stripping_keeps_the_table_of_every_load_command(kind: int) -> None:
    """Among them those of Xcode 26: function variants, their fixups, and lazily loaded libraries."""
    program = macho_edit.remove_signature(go_program("darwin", "arm64", "-linkmode=internal -buildid="))
    program, tables = program.ljust(-(-len(program) // 8) * 8, b"\0"), (b"odd", b"table of numbers")
    added = [struct.pack("<4I", kind, 16, len(program) + 8 * number, len(table)) for number, table in enumerate(tables)]
    commands = [*macho_edit.read_commands(program), *added]
    body = b"".join(table.ljust(8, b"\0") for table in tables)
    content = macho_edit.resize_linkedit(macho_edit.write_commands(program + body, commands))
    stripped = macho_edit.strip(content)
    for command, table in zip(macho_edit.read_commands(stripped)[-2:], tables, strict=True):
        *_, offset, size = struct.unpack("<4I", command)
        assert (stripped[offset : offset + size], offset % 8) == (table, 0)


@ARCHITECTURES
def test_the_symbols_that_are_left_are_grouped_as_the_load_command_says(architecture: str) -> None:
    """The last of Go's local symbols is made an external one first; symbols of other files follow it."""
    program = go_program("darwin", architecture, "-linkmode=internal -buildid=")
    (table,) = (each for each in macho_edit.read_commands(program) if each.startswith(struct.pack("<I", 2)))
    _, local, *_, undefined = groups_of(program)
    kind = struct.unpack_from("<I", table, 8)[0] + 16 * (local - 1) + 4  # n_type of nlist_64
    changed = program[:kind] + bytes([program[kind] | 1]) + program[kind + 1 :]
    assert groups_of(macho_edit.strip(changed)) == (0, 0, 0, 1, 1, undefined)


@ARCHITECTURES
def test_a_signature_is_valid_and_reproducible(architecture: str) -> None:
    """Also if it replaces an existing one, here Go's own."""
    program = go_program("darwin", architecture)
    signed = codesign.sign(program, "program")
    assert read(signed).flaws == ()
    assert codesign.sign(signed, "program") == signed
    assert codesign.sign(macho_edit.remove_signature(program), "program") == signed
    assert codesign.sign(program, "another") != signed
    unsigned = macho_edit.remove_signature(signed)
    assert (read(unsigned).flaws, len(unsigned)) == (None, len(macho_edit.remove_signature(program)))


@ARCHITECTURES
def test_signing_can_be_undone(architecture: str) -> None:
    """The padding in front of the signature is removed, too."""
    stripped = macho_edit.strip(go_program("darwin", architecture, "-linkmode=internal -buildid="))
    assert macho_edit.remove_signature(codesign.sign(stripped, "program")) == stripped


@ARCHITECTURES
def test_the_last_segment_of_a_signed_file_contains_the_signature_in_the_file_and_in_memory(architecture: str) -> None:
    """The kernel does not load a segment that is larger in the file than in memory."""
    signed = codesign.sign(go_program("darwin", architecture), "program")
    parsed = lief.MachO.parse(signed)
    assert parsed is not None
    for last in (binary.segments[-1] for binary in parsed):
        assert last.file_offset + last.file_size == len(signed)
        assert 0 <= last.virtual_size - last.file_size < 0x4000
        assert {len(command) % 8 for command in macho_edit.read_commands(signed)} == {0}


@pytest.mark.parametrize("content", [fat(macho("arm64")), b"\xce\xfa\xed\xfe" + bytes(60)])
def test_only_a_thin_64_bit_file_is_edited(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a thin 64-bit"):
        macho_edit.strip(content)


@pytest.mark.parametrize("field", [36, 44, 52, 68, 76])
def test_a_file_with_relocations_by_symbol_number_keeps_its_symbols(field: int) -> None:
    """The counts of such entries are in dysymtab_command."""
    program = macho_edit.remove_signature(go_program("darwin", "arm64", "-linkmode=internal -buildid="))
    commands = macho_edit.read_commands(program)
    number = next(number for number, command in enumerate(commands) if command.startswith(struct.pack("<I", 0xB)))
    commands[number] = commands[number][:field] + struct.pack("<I", 1) + commands[number][field + 4 :]
    content = macho_edit.write_commands(program, commands)
    assert macho_edit.strip(content) == content


def test_a_code_directory_describes_the_program_as_that_of_another_linker() -> None:
    """Go's linker signs programs, too; it adds the flag CS_LINKER_SIGNED. Source: CS_CodeDirectory in cs_blobs.h."""
    program = go_program("darwin", "arm64")
    signed = (program, codesign.sign(program, "program"))
    theirs, ours = (content[content.rindex(b"\xfa\xde\x0c\x02") :][:88] for content in signed)
    assert ours[8:12] == theirs[8:12], "the version"
    assert int.from_bytes(ours[12:16]) == int.from_bytes(theirs[12:16]) & ~0x20000, "the flags"
    assert ours[36:] == theirs[36:], "the types of digests and pages, and the executable segment"
