"""Makes a frozen folder relocatable: no links, uniform file modes, and libraries that are found wherever it is put."""

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

_UNUSED = ("licenses", "sboms")
"""Folders of a distribution's metadata that no program reads. Source: PEP 639 and PEP 770."""

SYSTEM_FOLDERS = ("/usr/lib/", "/System/")
"""The folders of macOS's own libraries, which every Mac has."""


def normalize(folder: Path) -> None:
    """Replace links with the files they point to, and set the mode of every file to 0755 or 0644.

    For a library in a subfolder, PyInstaller creates a link at the top. The file itself replaces that link: the loader
    searches there, as the top folder is its search path. If several links point to one file, as in Python.framework,
    the highest is replaced by the file and the others by copies.
    """
    links = sorted((path for path in folder.rglob("*") if path.is_symlink()), key=lambda path: (len(path.parts), path))
    files = {link: link.resolve() for link in links if not link.is_dir()}
    folders = {link: link.resolve() for link in links if link.is_dir()}
    for resolved in (files, folders):  # in this order: a folder is moved with the files that no link has replaced
        _replace_links(resolved)
    for path in folder.rglob("*"):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)


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


def remove_unused_metadata(folder: Path) -> None:
    """Remove licences and bills of materials from the distributions' metadata, and their entries from RECORD.

    No program reads them, and the keg's notices contain them once. They are a quarter of a bundle's folders, each of
    which the first start creates.
    """
    for record in folder.rglob("*.dist-info/RECORD"):
        for unused in _UNUSED:
            shutil.rmtree(record.with_name(unused), ignore_errors=True)
        removed = tuple(f"{record.parent.name}/{unused}/" for unused in _UNUSED)
        rewrite_record(record, partial(_path_outside, folders=removed))


def _path_outside(path: str, *, folders: tuple[str, ...]) -> str:
    return "" if path.startswith(folders) else path


def strip_elves(folder: Path) -> None:
    """Remove symbol tables and debug information, except from the programs, whose archive is in a section."""
    for path in elf.find_elves(folder):
        if path.parent != folder:
            _rewrite(path, elf_edit.strip)


def relocate_machos(folder: Path, contents: str, target: Target) -> None:
    """Thin and strip the Mach-O files, make them find libraries at the top of `contents`, and sign them ad hoc.

    The programs are left alone: they are signed already, including the archive, and need only the system's libraries.
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
    """Make the ELF files of a folder find the libraries at the top of `contents`; remove search paths without $ORIGIN.

    PyInstaller's executable sets LD_LIBRARY_PATH and runs itself again, but needs libz before that; and a tool that
    reads only the files, such as `brew linkage`, would find the system's libraries, or none.
    """
    top = folder / contents
    bundled = {path.name for path in top.iterdir()}
    for path in elf.find_elves(folder):
        found = elf.read_elf(path.read_bytes())
        search = [each for each in found.search if each.split("/")[0] == elf.ORIGIN]
        relative = os.path.relpath(top, path.parent)
        own = elf.ORIGIN if relative == "." else f"{elf.ORIGIN}/{relative}"
        if bundled.intersection(found.needed) and own not in search:
            search.append(own)
        if search != [*found.search]:
            setting = partial(set_search, path, patchelf=find_patchelf(env), env=env)
            with command.translate_failure(
                GateError, f"{path.name}: cannot set the search path", "pin another build of it"
            ):
                if found.rpath and found.runpath:  # patchelf changes one of the two, but removes both
                    setting("")
                setting(":".join(search))


def find_machos(folder: Path) -> list[Path]:
    """Return the Mach-O files of a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_macho(path.read_bytes()[:8]))
