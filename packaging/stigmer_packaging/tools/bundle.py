"""A frozen folder made fit to travel: plain files, settled modes, and libraries found wherever it is put."""

from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.tools import elf
from stigmer_packaging.tools.patchelf import set_search


def settle(folder: Path) -> None:
    """Turn links into the files they stand for, and give every file the mode 0755 or 0644.

    PyInstaller links a library from the top when it lies deeper. The file itself moves to the link's place then: that
    is where the loader looks, as the bundle's directory is its search path.
    """
    for link in sorted(path for path in folder.rglob("*") if path.is_symlink()):
        real = link.resolve()
        link.unlink()
        real.rename(link)
    for path in folder.rglob("*"):
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runs else 0o644)


def forget_installation(folder: Path) -> None:
    """Take out of the distributions' RECORD files what they say of files outside the bundle.

    Those are the environment's scripts: their first line, and so their checksum, depends on where the environment is.
    """
    for record in folder.rglob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith("../")), encoding="utf-8")


def relocate(folder: Path, program: str, contents: str, *, patchelf: Path, env: Mapping[str, str]) -> list[elf.Elf]:
    """Have the ELF files of a folder find their libraries relative to themselves, and say what they are then.

    PyInstaller's executable finds the bundle's libraries by starting itself once more with LD_LIBRARY_PATH set. It
    needs libz before that, on whatever machine it is; so it gets a search path of its own.
    """
    for path in elf.find_elves(folder):
        elf.forget_search(path)
    set_search(folder / program, f"{elf.ORIGIN}/{contents}", patchelf=patchelf, env=env)
    return [elf.read_elf(path) for path in elf.find_elves(folder)]


def render_glibc(elves: list[elf.Elf]) -> str:
    """Name the lowest glibc these files run with, such as `2.36`, and the file that asks for it."""
    highest = max(elves, key=lambda found: found.glibc)
    return f"{'.'.join(map(str, highest.glibc))} (for {highest.path.name})"
