"""Finds the libraries that a platform's native files need, and their paths on this machine, as ldd and otool would.

No loader is run: it would only find this machine's libraries.
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
"""Libraries of glibc, which every system has that runs the frozen programs."""

Linked = dict[str, list[tuple[str, str | None]]]
"""For each file, the names of the libraries it needs, with their paths, or None for those not found."""

_ORIGINS = ("$ORIGIN", "${ORIGIN}", "@loader_path", "@executable_path")


def find_linked(
    folders: Iterable[Path], libraries: Sequence[Path], target: Target, prefix: Mapping[str, Path]
) -> Linked:
    """Return the libraries of every native file for `target` below `folders`, without those of the system.

    A library is searched at the paths that the file itself contains, then by name in the folders `libraries`. `prefix`
    maps the start of a library's path to the folder that replaces it here.
    """
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    native = ((path, links) for path in files if (links := _links_of(path, target)))
    return {str(path): list(_resolve(path, *links, libraries, prefix)) for path, links in native}


def _resolve(
    path: Path, needed: Sequence[str], search: Sequence[str], libraries: Sequence[Path], prefix: Mapping[str, Path]
) -> Iterator[tuple[str, str | None]]:
    for name in needed:
        if name in SYSTEM_LIBRARIES or name.startswith(SYSTEM_FOLDERS):
            continue
        candidates = [*_own_paths(name, path, search, prefix), *(each / PurePosixPath(name).name for each in libraries)]
        library = next((candidate for candidate in candidates if candidate.is_file()), None)
        yield name, os.path.normpath(library) if library else None


def _own_paths(name: str, path: Path, search: Sequence[str], prefix: Mapping[str, Path]) -> Iterator[Path]:
    """Yield the paths at which a file itself expects a library."""
    if name.startswith("@rpath/") or "/" not in name:
        yield from (_expand_origin(folder, path) / name.removeprefix("@rpath/") for folder in search)
    yield from (here / name.removeprefix(f"{start}/") for start, here in prefix.items() if name.startswith(f"{start}/"))
    yield _expand_origin(name, path)


def _expand_origin(text: str, path: Path) -> Path:
    start = next((word for word in _ORIGINS if text == word or text.startswith(f"{word}/")), None)
    return path.parent / text.removeprefix(start).lstrip("/") if start else path.parent / text


def _links_of(path: Path, target: Target) -> tuple[Sequence[str], Sequence[str]] | None:
    """Return the libraries that a native file for a target needs, and its search paths; None for any other file."""
    with path.open("rb") as stream:
        head = stream.read(8)
    try:
        if target.system == "linux" and elf.is_elf(head):
            found = elf.read_elf(path.read_bytes())
            return found.needed, found.search
        if target.system == "darwin" and is_macho(head):
            return macho_edit.read_links(macho_edit.thin(path.read_bytes(), target.architecture))
    except ValueError:  # for another processor, or damaged: the audit refuses it if it gets into a bundle
        pass
    return None
