"""Mach-O files of a frozen folder are relocated so that they find each other, and then signed, on any host."""

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


def test_libraries_are_referenced_by_rpath_and_every_file_is_signed(tmp_path: Path) -> None:
    """The original references are to the prefix of a Python that does not exist, or to a folder of a wheel."""
    needed = ("/python3.13/lib/libssl.3.dylib", SYSTEM, "@loader_path/.dylibs/libx.dylib")
    module = place(tmp_path / "lib/package/deep/module.so", macho(needed=needed, search=("/build",), content=ROOM))
    library = place(tmp_path / "lib/libssl.3.dylib", macho(identity="/python3.13/lib/libssl.3.dylib", content=ROOM))
    found = relocated(module, tmp_path)
    assert [each.name for each in found.libraries] == ["@rpath/libssl.3.dylib", SYSTEM, "@rpath/libx.dylib"]
    assert found.search == ("@loader_path/../..",)
    assert found.flaws == ()
    (relocated_library,) = read_machos(library.read_bytes())
    assert (relocated_library.identity, relocated_library.flaws) == ("@rpath/libssl.3.dylib", ())


def test_a_file_that_needs_no_library_of_the_folder_gets_no_search_path(tmp_path: Path) -> None:
    module = place(tmp_path / "lib/module.so", macho(needed=(SYSTEM,), search=("/build",), content=ROOM))
    assert relocated(module, tmp_path).search == ()


def test_only_the_slice_of_the_target_is_kept_of_a_universal_file(tmp_path: Path) -> None:
    both = fat(macho("amd64", content=ROOM), macho("arm64", content=ROOM))
    assert relocated(place(tmp_path / "lib/module.so", both), tmp_path).architecture == "arm64"


def test_a_file_for_another_processor_is_refused(tmp_path: Path) -> None:
    place(tmp_path / "lib/module.so", macho("amd64"))
    with pytest.raises(GateError, match=r"lib/module\.so cannot be frozen: .*without code for arm64"):
        relocate_machos(tmp_path, "lib", MAC)


def test_a_program_is_not_modified(tmp_path: Path) -> None:
    """PyInstaller's archive is at the end of the program, and an edit would move it."""
    program = place(tmp_path / "program", macho("arm64", content=b"the archive"))
    before = program.read_bytes()
    relocate_machos(tmp_path, "lib", MAC)
    assert program.read_bytes() == before
