"""The Mach-O files of a frozen folder are made to find each other, on any host, and are signed last."""

from pathlib import Path

import pytest

from stigmer_packaging.binaries.macho import MachO, read_machos
from stigmer_packaging.freeze.bundle import relocate_machos
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.lib.target import Target
from support.native_code import fat, macho, place

MAC = Target("darwin", "arm64")
SYSTEM = "/usr/lib/libSystem.B.dylib"
ROOM = bytes(400)


def relocated(path: Path, folder: Path) -> MachO:
    relocate_machos(folder, "lib", MAC)
    (found,) = read_machos(path.read_bytes())
    return found


def test_a_library_is_found_at_the_top_whatever_the_file_called_it_and_every_file_is_signed(tmp_path: Path) -> None:
    """By the prefix of a Python that is on no machine, or by the folder of a wheel."""
    needed = ("/python3.13/lib/libssl.3.dylib", SYSTEM, "@loader_path/.dylibs/libx.dylib")
    module = place(tmp_path / "lib/package/deep/module.so", macho(needed=needed, search=("/build",), content=ROOM))
    library = place(tmp_path / "lib/libssl.3.dylib", macho(identity="/python3.13/lib/libssl.3.dylib", content=ROOM))
    found = relocated(module, tmp_path)
    assert [each.name for each in found.libraries] == ["@rpath/libssl.3.dylib", SYSTEM, "@rpath/libx.dylib"]
    assert found.search == ("@loader_path/../..",)
    assert found.flaws == ()
    (named,) = read_machos(library.read_bytes())
    assert (named.identity, named.flaws) == ("@rpath/libssl.3.dylib", ())


def test_a_file_that_needs_no_library_of_the_folder_gets_no_search_path(tmp_path: Path) -> None:
    module = place(tmp_path / "lib/module.so", macho(needed=(SYSTEM,), search=("/build",), content=ROOM))
    assert relocated(module, tmp_path).search == ()


def test_of_a_file_for_several_processors_one_is_kept(tmp_path: Path) -> None:
    both = fat(macho("amd64", content=ROOM), macho("arm64", content=ROOM))
    assert relocated(place(tmp_path / "lib/module.so", both), tmp_path).architecture == "arm64"


def test_a_file_for_another_processor_is_refused(tmp_path: Path) -> None:
    place(tmp_path / "lib/module.so", macho("amd64"))
    with pytest.raises(GateError, match=r"lib/module\.so cannot be frozen: .*without code for arm64"):
        relocate_machos(tmp_path, "lib", MAC)


def test_a_program_is_left_as_it_was_signed(tmp_path: Path) -> None:
    """Its archive is at its end, where an edit would move it."""
    program = place(tmp_path / "program", macho("arm64", content=b"the archive"))
    before = program.read_bytes()
    relocate_machos(tmp_path, "lib", MAC)
    assert program.read_bytes() == before
