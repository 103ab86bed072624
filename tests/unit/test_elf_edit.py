"""Stripping ELF files and adding sections on any host leaves the loaded part unchanged, byte for byte."""

import shutil
import subprocess
import sys
from pathlib import Path

import lief
import pytest

from stigmer_packaging.binaries import elf
from stigmer_packaging.binaries.elf_edit import strip
from support import native_code

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs edited here are this machine's")

PROGRAM = Path(shutil.which("true") or "/bin/true")
EXTENSION = next(Path(sys.prefix).rglob("*.cpython-*.so"))


def readelf(path: Path, *words: str) -> str:
    listed = subprocess.run(["readelf", "-W", *words, path], check=True, capture_output=True, text=True)
    assert listed.stderr == ""
    return listed.stdout


def test_a_stripped_program_with_an_added_section_runs_and_the_section_is_readable(tmp_path: Path) -> None:
    """PyInstaller's archive is added to a program this way; its bootloader searches for it from the end of the file."""
    program = tmp_path / "true"
    program.write_bytes(strip(PROGRAM.read_bytes(), {"pydata": b"the archive"}))
    program.chmod(0o755)
    assert subprocess.run([program], check=False, timeout=30).returncode == 0
    assert "the archive" in readelf(program, "-p", "pydata")


def test_stripping_removes_symbols_and_debug_information_but_nothing_the_loader_reads(tmp_path: Path) -> None:
    """The result is at most 4 KiB larger than that of strip from binutils."""
    content = EXTENSION.read_bytes()
    ours, theirs = tmp_path / "ours.so", tmp_path / "theirs.so"
    ours.write_bytes(stripped := strip(content))
    assert elf.read_elf(stripped) == elf.read_elf(content)
    assert strip(stripped) == stripped
    sections = readelf(ours, "-S")
    assert not [name for name in (".symtab", ".debug_info", ".strtab", ".comment") if f" {name} " in sections]
    theirs.write_bytes(content)
    subprocess.run(["strip", theirs], check=True)
    assert len(stripped) <= min(len(content), theirs.stat().st_size + 4096)


def test_a_library_without_sections_gets_the_added_one() -> None:
    """Tools that edit libraries for wheels may leave no section header table; the loader needs none."""
    content = native_code.elf(needed=("libc.so.6",))
    edited = strip(content, {"pydata": b"the archive"})
    assert elf.read_elf(edited) == elf.read_elf(content)
    parsed = lief.ELF.parse(edited)
    assert parsed is not None
    assert [bytes(each.content) for each in parsed.sections if each.name == "pydata"] == [b"the archive"]


def test_a_file_that_is_not_elf_is_refused() -> None:
    with pytest.raises(ValueError, match="64-bit"):
        strip(b"\xcf\xfa\xed\xfe" + bytes(64))
