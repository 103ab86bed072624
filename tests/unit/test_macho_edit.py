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


def test_names_that_do_not_fit_before_the_first_section_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no room for .* link with -headerpad_max_install_names"):
        set_search(go_program("darwin", "arm64"), "@loader_path/" + "x" * 4096)


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
    assert macho_edit.strip(stripped) == stripped


@pytest.mark.parametrize("kind", [0x29, 0x37, 0x38, 0x3A])
def test_stripping_keeps_the_table_of_every_load_command(kind: int) -> None:
    """Among them those of Xcode 26: function variants, their fixups, and lazily loaded libraries."""
    program = macho_edit.remove_signature(go_program("darwin", "arm64", "-linkmode=internal -buildid="))
    program, table = program.ljust(-(-len(program) // 8) * 8, b"\0"), b"table of numbers"
    command = struct.pack("<4I", kind, 16, len(program), len(table))
    commands = [*macho_edit.read_commands(program), command]
    content = macho_edit.resize_linkedit(macho_edit.write_commands(program + table, commands))
    stripped = macho_edit.strip(content)
    *_, offset, size = struct.unpack("<4I", macho_edit.read_commands(stripped)[-1])
    assert stripped[offset : offset + size] == table


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
