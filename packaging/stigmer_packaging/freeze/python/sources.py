"""The sources of the frozen CPython: downloaded as pinned, unpacked, and patched with what the recipe names."""

import shutil
import tarfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from stigmer_packaging.freeze.python.recipe import Edit, Recipe, Source
from stigmer_packaging.lib import command, debian
from stigmer_packaging.lib.debian import Archives
from stigmer_packaging.lib.errors import ArchiveError
from stigmer_packaging.lib.unpacking import unpack_tree

_FETCHERS = 4


def download_sources(recipe: Recipe, downloads: Path, archives: Callable[[], Archives]) -> dict[str, Path]:
    """Fetch every pinned file that is not there yet, and give each by its path on the mirror.

    `archives` is asked only if something is to be fetched. DownloadError when the mirror has other bytes, or none.
    """
    pinned = {path: sha256 for source in recipe.source for path, sha256 in source.files.items()}
    places = {path: downloads / PurePosixPath(path).name for path in pinned}
    mirror = archives() if any(not place.is_file() for place in places.values()) else Archives("", "")

    def fetch(path: str) -> Path:
        return debian.download(mirror, path, pinned[path], places[path])

    with ThreadPoolExecutor(_FETCHERS) as fetchers:
        return dict(zip(pinned, fetchers.map(fetch, pinned), strict=True))


def unpack_source(source: Source, files: Mapping[str, Path], folder: Path, environment: Mapping[str, str]) -> None:
    """Unpack a source to `folder` and apply the patches that the recipe names."""
    upstream, packaged = (files[path] for path in source.files)
    unpack_archive(upstream, folder.with_suffix(".unpacked"))
    (top,) = folder.with_suffix(".unpacked").iterdir()
    top.rename(folder)
    folder.with_suffix(".unpacked").rmdir()
    unpack_archive(packaged, folder)
    for patch in source.patches:
        words = ["patch", "--strip=1", "--silent", "--forward", f"--input=debian/patches/{patch}"]
        command.run(words, env=environment, cwd=folder)


def unpack_archive(archive: Path, folder: Path) -> None:
    """Unpack a tar archive below `folder`; ArchiveError for a damaged one, and for one that would write outside."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            unpack_tree(tar, folder)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}") from error


def keep_licence(source: Source, folder: Path, prefix: Path) -> None:
    """Keep a source's licence where a Debian package has it. Source: Debian Policy 12.5."""
    place = prefix / "share" / "doc" / source.package / "copyright"
    place.parent.mkdir(parents=True)
    shutil.copyfile(folder / "debian" / "copyright", place)


def apply_edit(edit: Edit, folder: Path) -> None:
    """Change a file of a source; ArchiveError unless the edit applies exactly once."""
    file = folder / edit.file
    text = file.read_text(encoding="utf-8")
    if (times := text.count(edit.old)) != 1:
        first = edit.old.strip().partition("\n")[0]
        raise ArchiveError(
            f"the edit of {edit.file} at {first!r} applies {times} times, not once",
            "correct it in packaging/python/cpython.toml for this version of CPython",
        )
    file.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
