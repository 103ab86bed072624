"""Programs as frozen by PyInstaller, written with its own archive writers; their code can be anything."""

import sys
import tempfile
from pathlib import Path

from PyInstaller.archive.writers import (  # type: ignore[import-untyped]  # it ships no type information
    CArchiveWriter,
    ZlibArchiveWriter,
)

from support.native_code import elf


def frozen_program(folder: Path, modules: dict[str, str], scripts: dict[str, str]) -> bytes:
    """Return a frozen program of modules and scripts (maps of names to sources), with a minimal ELF as bootloader."""
    entries = [(name, f"{name}.py", "PYMODULE") for name in modules]
    code = {name: compile(source, f"{name}.py", "exec") for name, source in modules.items()}
    ZlibArchiveWriter(str(folder / "PYZ.pyz"), entries, code_dict=code)
    table = [("PYZ.pyz", str(folder / "PYZ.pyz"), False, "z")]
    for name, source in scripts.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
        table.append((name, str(folder / f"{name}.py"), True, "s"))
    library = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    CArchiveWriter(str(folder / "package"), table, pylib_name=library)
    return elf(interpreter="/lib64/ld-linux-x86-64.so.2") + (folder / "package").read_bytes()


def freeze_around(program: bytes, python: str, contents: str) -> bytes:
    """Return a program with the appended archive of a PyInstaller one-folder application."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "package")
        CArchiveWriter(str(package), [(f"pyi-contents-directory {contents}", "", False, "o")], pylib_name=python)
        return program + package.read_bytes()
