"""Native code of a frozen folder finds the folder's libraries without environment variables."""

import os
import struct
import subprocess
from pathlib import Path

import lief
import pytest

from stigmer_packaging.binaries.elf import find_elves, read_elf
from stigmer_packaging.freeze.bundle import relocate
from support.native_code import PATCHELF, bootloader, place

DT_RPATH, DT_DEBUG, DT_RUNPATH = 15, 21, 29
ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a folder like one by PyInstaller: a program and modules that need libz, and libz, which does not."""
    for name in ("program", "lib/module.so", "lib/deep/er/module.so", "lib/libz.so.1"):
        place(tmp_path / name, bootloader())
    patchelf(tmp_path / "lib" / "libz.so.1", "--remove-needed", "libz.so.1")
    (tmp_path / "lib" / "link.so").symlink_to("module.so")
    (tmp_path / "lib" / "script").write_text("#!/bin/sh\n", encoding="ascii")
    return tmp_path


def patchelf(path: Path, *words: str) -> None:
    subprocess.run([PATCHELF, *words, path], check=True)


def dynamic_entries(path: Path) -> list[tuple[int, int, int]]:
    """Return offset, tag and value of each dynamic entry."""
    binary = lief.ELF.parse(str(path))
    assert binary
    section = next(each for each in binary.sections if each.name == ".dynamic")
    offsets = range(section.file_offset, section.file_offset + section.size, 16)
    return [(offset, *struct.unpack_from("<QQ", path.read_bytes(), offset)) for offset in offsets]


def relocated_search_paths(bundle: Path) -> dict[str, tuple[str, ...]]:
    relocate(bundle, "lib", env=ENV)
    return {path.relative_to(bundle).as_posix(): read_elf(path.read_bytes()).search for path in find_elves(bundle)}


def test_files_that_need_a_bundled_library_search_the_top_folder(bundle: Path) -> None:
    before = (bundle / "lib" / "libz.so.1").read_bytes()
    assert relocated_search_paths(bundle) == {
        "program": ("$ORIGIN/lib",),
        "lib/module.so": ("$ORIGIN",),
        "lib/deep/er/module.so": ("$ORIGIN/../..",),
        "lib/libz.so.1": (),
    }
    assert (bundle / "lib" / "libz.so.1").read_bytes() == before


def test_a_foreign_folder_is_removed_from_both_rpath_and_runpath(bundle: Path) -> None:
    """Older linkers wrote both DT_RPATH and DT_RUNPATH."""
    program = bundle / "program"
    patchelf(program, "--set-rpath", "/build/host")
    runpath = next(entry for entry in dynamic_entries(program) if entry[1] == DT_RUNPATH)
    spare = next(entry for entry in dynamic_entries(program) if entry[1] == DT_DEBUG)
    with program.open("r+b") as stream:
        stream.seek(spare[0])
        stream.write(struct.pack("<QQ", DT_RPATH, runpath[2]))
    assert relocated_search_paths(bundle)["program"] == ("$ORIGIN/lib",)


def test_a_relative_search_path_is_kept_first_and_a_foreign_one_is_removed(bundle: Path) -> None:
    """A wheel's own libraries come before those of the bundle. The foreign path must not remain in the file."""
    original = {
        "lib/module.so": "$ORIGIN/x.libs:/build/host",
        "program": "$ORIGINAL:/build/host",
        "lib/libz.so.1": "/build/host",
    }
    for name, search in original.items():
        patchelf(bundle / name, "--set-rpath", search)
    found = relocated_search_paths(bundle)
    assert [found[name] for name in original] == [("$ORIGIN/x.libs", "$ORIGIN"), ("$ORIGIN/lib",), ()]
    assert [name for name in original if b"/build/host" in (bundle / name).read_bytes()] == []


def test_a_second_relocation_changes_nothing(bundle: Path) -> None:
    """Each rewrite would make a file longer."""
    first = relocated_search_paths(bundle)
    content = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert relocated_search_paths(bundle) == first
    assert {path: path.read_bytes() for path in content} == content
