"""Downloads the pinned sources of the frozen CPython, unpacks them, and applies the patches that the recipe names."""

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

_DOWNLOADS = 4  # at once


def download_sources(recipe: Recipe, downloads: Path, archives: Callable[[], Archives]) -> dict[str, Path]:
    """Download the pinned files that are missing in `downloads`, and return all of them by their path on the mirror.

    `archives` is called only if a file is missing. DownloadError if the mirror does not have a file as pinned.
    """
    pinned = {path: sha256 for source in recipe.source for path, sha256 in source.files.items()}
    files = {path: downloads / PurePosixPath(path).name for path in pinned}
    mirror = archives() if any(not file.is_file() for file in files.values()) else Archives("", "")

    def download(path: str) -> Path:
        return debian.download(mirror, path, pinned[path], files[path])

    with ThreadPoolExecutor(_DOWNLOADS) as executor:
        return dict(zip(pinned, executor.map(download, pinned), strict=True))


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
    """Unpack a tar archive below `folder`; ArchiveError if it is damaged, or would write outside of it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            unpack_tree(tar, folder)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}") from error


def keep_licence(source: Source, folder: Path, prefix: Path) -> None:
    """Copy a source's licence to its path in a Debian package, below `prefix`. Source: Debian Policy 12.5."""
    copy = prefix / "share" / "doc" / source.package / "copyright"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(folder / "debian" / "copyright", copy)


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
