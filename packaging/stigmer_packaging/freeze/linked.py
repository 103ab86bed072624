"""Which libraries the native files of a platform need, and where they are on this machine: what ldd and otool would say.

The platform's loader is not asked, which would only find this machine's libraries.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from stigmer_packaging.binaries import elf, macho_edit
from stigmer_packaging.binaries.macho import is_macho
from stigmer_packaging.freeze.bundle import SYSTEM_FOLDERS
from stigmer_packaging.lib.target import Target

SYSTEM_LIBRARIES = frozenset({
    "ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0",
    "libresolv.so.2", "librt.so.1", "libutil.so.1",
})  # fmt: skip
"""What glibc itself is made of, and so whatever runs a program of ours has."""

Linked = dict[str, list[tuple[str, str | None]]]
"""For each file, the libraries it needs by name, with their paths; None for those that are nowhere."""

_HERE = ("$ORIGIN", "${ORIGIN}", "@loader_path", "@executable_path")


def find_linked(
    folders: Iterable[Path], libraries: Sequence[Path], target: Target, prefix: Mapping[str, Path]
) -> Linked:
    """Read every native file below `folders` that is for `target`.

    A library is looked for where the file says, else by its name alone in the folders `libraries`. `prefix` maps the
    beginning of a name to the folder that stands for it here. The system's own libraries are left out.
    """
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    found = ((path, links) for path in files if (links := _links_of(path, target)))
    return {str(path): list(_resolve(path, *links, libraries, prefix)) for path, links in found}


def _resolve(
    path: Path, needed: Sequence[str], search: Sequence[str], libraries: Sequence[Path], prefix: Mapping[str, Path]
) -> Iterator[tuple[str, str | None]]:
    for name in needed:
        if name in SYSTEM_LIBRARIES or name.startswith(SYSTEM_FOLDERS):
            continue
        places = [*_named(name, path, search, prefix), *(folder / PurePosixPath(name).name for folder in libraries)]
        place = next((place for place in places if place.is_file()), None)
        yield name, os.path.normpath(place) if place else None


def _named(name: str, path: Path, search: Sequence[str], prefix: Mapping[str, Path]) -> Iterator[Path]:
    """Give where a file itself says that a library is."""
    if name.startswith("@rpath/") or "/" not in name:
        yield from (_here(folder, path) / name.removeprefix("@rpath/") for folder in search)
    yield from (here / name.removeprefix(f"{start}/") for start, here in prefix.items() if name.startswith(f"{start}/"))
    yield _here(name, path)


def _here(text: str, path: Path) -> Path:
    start = next((word for word in _HERE if text == word or text.startswith(f"{word}/")), None)
    return path.parent / text.removeprefix(start).lstrip("/") if start else path.parent / text


def _links_of(path: Path, target: Target) -> tuple[Sequence[str], Sequence[str]] | None:
    """Give the libraries that a native file for a target names, and its search paths; None for any other file."""
    with path.open("rb") as stream:
        head = stream.read(8)
    try:
        if target.system == "linux" and elf.is_elf(head):
            found = elf.read_elf(path.read_bytes())
            return found.needed, found.search
        if target.system == "darwin" and is_macho(head):
            return macho_edit.read_links(macho_edit.thin(path.read_bytes(), target.architecture))
    except ValueError:  # for another processor, or damaged: the audit refuses it, should it be frozen
        pass
    return None
