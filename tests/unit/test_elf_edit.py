"""ELF files are stripped, and get a section, on any host: what is loaded stays as it is, byte for byte."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stigmer_packaging.binaries import elf
from stigmer_packaging.binaries.elf_edit import strip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs edited here are this machine's")

PROGRAM = Path(shutil.which("true") or "/bin/true")
EXTENSION = next(Path(sys.prefix).rglob("*.cpython-*.so"))


def readelf(path: Path, *words: str) -> str:
    listed = subprocess.run(["readelf", "-W", *words, path], check=True, capture_output=True, text=True)
    assert listed.stderr == ""
    return listed.stdout


def test_a_stripped_program_with_a_section_more_runs_and_its_section_can_be_read(tmp_path: Path) -> None:
    """PyInstaller's archive gets into a program in this way; its bootloader looks for it from the end of the file."""
    made = tmp_path / "true"
    made.write_bytes(strip(PROGRAM.read_bytes(), {"pydata": b"the archive"}))
    made.chmod(0o755)
    assert subprocess.run([made], check=False, timeout=30).returncode == 0
    assert "the archive" in readelf(made, "-p", "pydata")


def test_symbols_and_debugging_information_are_gone_and_what_the_loader_reads_is_the_same(tmp_path: Path) -> None:
    """As binutils' own strip would have it, but for some bytes."""
    content = EXTENSION.read_bytes()
    made, theirs = tmp_path / "made.so", tmp_path / "theirs.so"
    made.write_bytes(stripped := strip(content))
    assert elf.read_elf(stripped) == elf.read_elf(content)
    assert strip(stripped) == stripped
    sections = readelf(made, "-S")
    assert not [name for name in (".symtab", ".debug_info", ".strtab") if f" {name} " in sections]
    theirs.write_bytes(content)
    subprocess.run(["strip", theirs], check=True)
    assert len(stripped) <= min(len(content), theirs.stat().st_size + 4096)


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(ValueError, match="64-bit"):
        strip(b"\xcf\xfa\xed\xfe" + bytes(64))
