"""Native code of a frozen folder finds the folder's libraries by itself, without anything set by who starts it."""

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
    """Give a folder as PyInstaller fills it: a program that needs libz, modules that do, and libz, which does not."""
    for name in ("program", "lib/module.so", "lib/deep/er/module.so", "lib/libz.so.1"):
        place(tmp_path / name, bootloader())
    set_needed(tmp_path / "lib" / "libz.so.1", "--remove-needed", "libz.so.1")
    (tmp_path / "lib" / "link.so").symlink_to("module.so")
    (tmp_path / "lib" / "script").write_text("#!/bin/sh\n", encoding="ascii")
    return tmp_path


def set_needed(path: Path, *words: str) -> None:
    subprocess.run([PATCHELF, *words, path], check=True)


def dynamic_entries(path: Path) -> list[tuple[int, int, int]]:
    """Give place, tag and value of each dynamic entry."""
    binary = lief.ELF.parse(str(path))
    assert binary
    section = next(each for each in binary.sections if each.name == ".dynamic")
    places = range(section.file_offset, section.file_offset + section.size, 16)
    return [(place, *struct.unpack_from("<QQ", path.read_bytes(), place)) for place in places]


def searches(bundle: Path) -> dict[str, tuple[str, ...]]:
    relocate(bundle, "lib", env=ENV)
    return {path.relative_to(bundle).as_posix(): read_elf(path.read_bytes()).search for path in find_elves(bundle)}


def test_what_needs_a_bundled_library_looks_for_it_at_the_top(bundle: Path) -> None:
    before = (bundle / "lib" / "libz.so.1").read_bytes()
    assert searches(bundle) == {
        "program": ("$ORIGIN/lib",),
        "lib/module.so": ("$ORIGIN",),
        "lib/deep/er/module.so": ("$ORIGIN/../..",),
        "lib/libz.so.1": (),
    }
    assert (bundle / "lib" / "libz.so.1").read_bytes() == before


def test_a_foreign_folder_goes_from_both_of_the_tags_that_may_name_it(bundle: Path) -> None:
    """Linkers once wrote DT_RPATH and DT_RUNPATH side by side."""
    program = bundle / "program"
    set_needed(program, "--set-rpath", "/build/host")
    runpath = next(entry for entry in dynamic_entries(program) if entry[1] == DT_RUNPATH)
    spare = next(entry for entry in dynamic_entries(program) if entry[1] == DT_DEBUG)
    with program.open("r+b") as stream:
        stream.seek(spare[0])
        stream.write(struct.pack("<QQ", DT_RPATH, runpath[2]))
    assert searches(bundle)["program"] == ("$ORIGIN/lib",)


def test_a_search_path_of_its_own_comes_first_and_a_foreign_one_goes(bundle: Path) -> None:
    """A wheel's own folder of libraries is meant to be looked at before the bundle's. No text of the other stays."""
    given = {
        "lib/module.so": "$ORIGIN/x.libs:/build/host",
        "program": "$ORIGINAL:/build/host",
        "lib/libz.so.1": "/build/host",
    }
    for name, search in given.items():
        set_needed(bundle / name, "--set-rpath", search)
    found = searches(bundle)
    assert [found[name] for name in given] == [("$ORIGIN/x.libs", "$ORIGIN"), ("$ORIGIN/lib",), ()]
    assert [name for name in given if b"/build/host" in (bundle / name).read_bytes()] == []


def test_a_second_relocation_changes_nothing(bundle: Path) -> None:
    """Every writing makes a file longer."""
    first = searches(bundle)
    content = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert searches(bundle) == first
    assert {path: path.read_bytes() for path in content} == content
