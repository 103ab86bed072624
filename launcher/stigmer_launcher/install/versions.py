"""Installed versions: one directory each, and a symbolic link to the one in use. All changes are renames.

Names that begin with a dot are unfinished installations or removals; the holder of the install lock may delete them.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from stigmer_launcher.install.manifest import VERSION_FILE
from stigmer_launcher.system.places import Places


def staging_directory(places: Places) -> str:
    """Return the directory in which a version is made before it is published."""
    return os.path.join(places.versions, ".making")


def directory_of(places: Places, version_id: str) -> str:
    """Return the directory of a version."""
    return os.path.join(places.versions, version_id)


def current(places: Places) -> str:
    """Return the id `bin` leads to, empty when it is no link of ours."""
    try:
        folder, _, version_id = os.readlink(places.bin).rpartition("/")
    except OSError:
        return ""
    return version_id if folder == os.path.basename(places.versions) else ""


def clear(places: Places) -> None:
    """Remove what a killed predecessor left behind."""
    for name in _names(places):
        if name.startswith("."):
            remove_tree(os.path.join(places.versions, name))
    with suppress(FileNotFoundError):
        os.unlink(f"{places.bin}.new")


def switch(places: Places, version_id: str) -> None:
    """Let `bin` lead to a version, by one rename. What an earlier Stigmer left there is moved aside, not removed."""
    if current(places) == version_id:
        return
    if os.path.lexists(places.bin) and not current(places):
        os.rename(places.bin, _free_name(f"{places.bin}.before-{version_id}"))
    os.symlink(os.path.join(os.path.basename(places.versions), version_id), f"{places.bin}.new")
    os.rename(f"{places.bin}.new", places.bin)


def outdated(places: Places, keep: Iterable[str]) -> tuple[str, ...]:
    """List the versions that are not needed; directories that are not versions are left alone."""
    kept = {*keep, current(places)}
    return tuple(
        name
        for name in _names(places)
        if name not in kept
        and not name.startswith(".")
        and os.path.exists(os.path.join(places.versions, name, VERSION_FILE))
    )


def has_leftovers(places: Places) -> bool:
    """Return whether an installation is running or was killed."""
    return any(name.startswith(".") for name in _names(places))


def prune(places: Places, keep: Iterable[str]) -> None:
    """Remove the outdated versions; each disappears by a rename before its files go."""
    for name in outdated(places, keep):
        gone = os.path.join(places.versions, f".gone-{name}")
        os.rename(os.path.join(places.versions, name), gone)
        remove_tree(gone)


def remove_tree(path: str) -> None:
    """Remove a directory with all it holds, or a file; links are not followed."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            child = os.path.join(folder, name)
            os.unlink(child) if os.path.islink(child) else os.rmdir(child)
    os.rmdir(path)


def _names(places: Places) -> list[str]:
    try:
        return sorted(os.listdir(places.versions))
    except FileNotFoundError:
        return []


def _free_name(path: str) -> str:
    number, name = 1, path
    while os.path.lexists(name):
        number += 1
        name = f"{path}-{number}"
    return name
