"""ELF files are read right, and a build host's library paths leave no trace in them."""

import re
import struct
import subprocess
from pathlib import Path

import lief
import pytest

from stigmer_packaging.binaries.elf import find_elves, highest_glibc, is_own_folder, read_elf, remove_foreign_search
from support.native_code import PATCHELF, bootloader

FOREIGN = "/build/host/python/lib"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Give a real, small program: PyInstaller's bootloader."""
    (tmp_path / "program").write_bytes(bootloader())
    (tmp_path / "program").chmod(0o755)
    return tmp_path / "program"


def give_search(path: Path, folder: str) -> None:
    subprocess.run([PATCHELF, "--set-rpath", folder, path], check=True)


def start(path: Path) -> str:
    """Start the bootloader, which has nothing to run and says so, and give what it says less its process id."""
    said = subprocess.run([path], check=False, capture_output=True, text=True).stderr
    return re.sub(r"\d+", "", said)


def point_runpath_at(path: Path, name: str, *, skip: int) -> None:
    """Make RUNPATH share the bytes of another string, `skip` bytes into it, as a linker does that merges strings."""
    image = bytearray(path.read_bytes())
    binary = lief.ELF.parse(bytes(image))
    assert binary is not None
    sections = {section.name: section for section in binary.sections}
    strings = bytes(sections[".dynstr"].content)
    entry = image.index(struct.pack("<Q", 29), sections[".dynamic"].file_offset)
    struct.pack_into("<Q", image, entry + 8, strings.index(name.encode()) + skip)
    path.write_bytes(image)


def clean(path: Path) -> bool:
    """Remove foreign search paths from a file in place, and tell whether there were any."""
    content = path.read_bytes()
    path.write_bytes(remove_foreign_search(content))
    return path.read_bytes() != content


def test_what_a_program_asks_for_is_read(program: Path) -> None:
    """Architecture, libraries and the glibc it needs."""
    found = read_elf(program.read_bytes())
    assert found.architecture in {"amd64", "arm64"}
    assert {"libc.so.6", "libz.so.1"} <= set(found.needed)
    assert found.search == ()
    assert found.glibc >= (2, 2, 5)


def test_only_regular_elf_files_are_found(program: Path) -> None:
    """Scripts and links are left alone."""
    (program.parent / "script").write_text("#!/bin/sh\n")
    (program.parent / "empty").touch()
    (program.parent / "link").symlink_to(program)
    assert find_elves(program.parent) == [program]


def test_a_foreign_search_path_goes_with_its_text(program: Path) -> None:
    """No byte of it stays, and the program still runs."""
    give_search(program, f"$ORIGIN/lib:{FOREIGN}")
    before = start(program)
    assert FOREIGN.encode() in program.read_bytes()
    assert clean(program)
    assert read_elf(program.read_bytes()).search == ()
    assert FOREIGN.encode() not in program.read_bytes()
    assert start(program) == before


def test_a_search_path_of_its_own_stays(program: Path) -> None:
    """Such a path means the same on every machine."""
    give_search(program, "$ORIGIN/lib:$ORIGIN")
    content = program.read_bytes()
    assert not clean(program)
    assert program.read_bytes() == content
    assert read_elf(program.read_bytes()).search == ("$ORIGIN/lib", "$ORIGIN")


def test_a_program_without_a_search_path_is_left_as_it_is(program: Path) -> None:
    """There is nothing to do."""
    content = program.read_bytes()
    assert not clean(program)
    assert program.read_bytes() == content


@pytest.mark.parametrize("skip", [0, 3])
def test_text_that_another_string_shares_stays(program: Path, skip: int) -> None:
    """Linkers merge equal ends; the name of a library must not go with the path."""
    give_search(program, FOREIGN)
    point_runpath_at(program, "libz.so.1", skip=skip)
    needed = read_elf(program.read_bytes()).needed
    assert clean(program)
    assert read_elf(program.read_bytes()).search == ()
    assert read_elf(program.read_bytes()).needed == needed


def test_a_folder_that_only_begins_like_its_own_is_foreign() -> None:
    """`$ORIGINAL` is no variable of the loader."""
    assert is_own_folder("$ORIGIN/../lib")
    assert not is_own_folder("$ORIGINAL/lib")
    assert not is_own_folder("/usr/lib")


def test_the_highest_version_is_highest_by_number() -> None:
    """2.9 is older than 2.17, and other libraries' versions do not count."""
    assert highest_glibc(["GLIBC_2.9", "GLIBC_2.17", "GLIBCXX_3.4.29", "GLIBC_PRIVATE"]) == (2, 17)
    assert highest_glibc([]) == ()
