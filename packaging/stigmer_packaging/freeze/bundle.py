"""A frozen folder made fit to travel: plain files, settled modes, and libraries found wherever it is put."""

import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from stigmer_packaging.binaries import codesign, elf, elf_edit, macho_edit
from stigmer_packaging.binaries.macho import is_macho
from stigmer_packaging.lib import command
from stigmer_packaging.lib.distributions import rewrite_record
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.lib.patchelf import find_patchelf, set_search
from stigmer_packaging.lib.target import Target

_UNASKED = ("licenses", "sboms")
"""Directories of a distribution's metadata. Source: PEP 639 and PEP 770."""

SYSTEM_FOLDERS = ("/usr/lib/", "/System/")
"""Where macOS has its own libraries, on every Mac and nowhere else."""


def settle(folder: Path) -> None:
    """Turn links into the files they stand for, and give every file the mode 0755 or 0644.

    PyInstaller links a library from the top when it lies deeper. The file itself moves to the link's place then: that
    is where the loader looks, as the bundle's directory is its search path. Where several links lead to one file, as in
    Python.framework, the highest gets it and the others get copies.
    """
    links = sorted((path for path in folder.rglob("*") if path.is_symlink()), key=lambda path: (len(path.parts), path))
    files = {link: link.resolve() for link in links if not link.is_dir()}
    folders = {link: link.resolve() for link in links if link.is_dir()}
    for resolved in (files, folders):  # a folder takes with it what no link to a file has moved
        _replace_links(resolved)
    for path in folder.rglob("*"):
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runs else 0o644)


def _replace_links(resolved: Mapping[Path, Path]) -> None:
    moved: dict[Path, Path] = {}
    for link, real in resolved.items():
        link.unlink()
        if real not in moved:
            moved[real] = real.rename(link)
        elif moved[real].is_dir():
            shutil.copytree(moved[real], link, symlinks=True)
        else:
            shutil.copy2(moved[real], link)


def forget_installation(folder: Path) -> None:
    """Leave of the distributions' metadata what a program may ask for, and of their RECORD files what says so.

    Not licences and bills of materials, which the keg's notices hold once: they are a quarter of a bundle's directories, and
    every first start makes each.
    """
    for record in folder.rglob("*.dist-info/RECORD"):
        for unasked in _UNASKED:
            shutil.rmtree(record.with_name(unasked), ignore_errors=True)
        gone = tuple(f"{record.parent.name}/{unasked}/" for unasked in _UNASKED)
        rewrite_record(record, partial(_name_outside, folders=gone))


def _name_outside(path: str, *, folders: tuple[str, ...]) -> str:
    return "" if path.startswith(folders) else path


def strip_elves(folder: Path) -> None:
    """Remove symbol tables and debugging information; not from the programs, which hold their archive in a section."""
    for path in elf.find_elves(folder):
        if path.parent != folder:
            _rewrite(path, elf_edit.strip)


def relocate_machos(folder: Path, contents: str, target: Target) -> None:
    """Keep one processor's code, strip, have libraries found at the top of `contents`, and sign ad hoc.

    The programs are signed already, archive and all, and need none but the system's libraries.
    """
    for path in find_machos(folder):
        if path.parent != folder:
            top = os.path.relpath(folder / contents, path.parent)
            _rewrite(path, partial(_as_bundled, name=path.name, top=top, target=target))


def _as_bundled(content: bytes, *, name: str, top: str, target: Target) -> bytes:
    content = macho_edit.strip(macho_edit.thin(content, target.architecture))
    needed, _ = macho_edit.read_links(content)
    inside = {each: f"@rpath/{Path(each).name}" for each in needed if not each.startswith(SYSTEM_FOLDERS)}
    search = [f"@loader_path/{top}" if top != "." else "@loader_path"] if inside else []
    named = macho_edit.set_names(content, identity=f"@rpath/{name}", libraries=inside, rpaths=search)
    return codesign.sign(named, name)


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    content = path.read_bytes()
    try:
        changed = change(content)
    except ValueError as error:
        raise GateError(f"{path} cannot be frozen: {error}") from error
    if changed != content:
        path.write_bytes(changed)


def relocate(folder: Path, contents: str, *, env: Mapping[str, str]) -> None:
    """Have the ELF files of a folder find the libraries at the top of `contents`.

    PyInstaller's executable sets LD_LIBRARY_PATH and starts itself once more, but needs libz before that; and who looks
    at the files alone, as `brew linkage` does, would find the system's libraries, or none. Foreign folders go.
    """
    top = folder / contents
    bundled = {path.name for path in top.iterdir()}
    for path in elf.find_elves(folder):
        found = elf.read_elf(path.read_bytes())
        search = [each for each in found.search if each.split("/")[0] == elf.ORIGIN]
        way = os.path.relpath(top, path.parent)
        own = elf.ORIGIN if way == "." else f"{elf.ORIGIN}/{way}"
        if bundled.intersection(found.needed) and own not in search:
            search.append(own)
        if search != [*found.search]:
            setting = partial(set_search, path, patchelf=find_patchelf(env), env=env)
            with command.failing_as(GateError, f"{path.name}: no search path can be set", "pin another build of it"):
                if found.rpath and found.runpath:  # patchelf changes one of the two, but removes both
                    setting("")
                setting(":".join(search))


def find_machos(folder: Path) -> list[Path]:
    """List the Mach-O files of a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_macho(path.read_bytes()[:8]))
