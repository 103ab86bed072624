"""Installed versions: one directory each, and a symbolic link to the one in use. All changes are renames.

The holder of the install lock may delete unfinished work: STAGING and names that begin with _GONE. Others may be the user's.
"""

import os
from collections.abc import Iterable
from contextlib import suppress

from stigmer_launcher.errors import HomeError
from stigmer_launcher.install.manifest import VERSION_FILE
from stigmer_launcher.system.places import Places, free_name

STAGING, _GONE = ".making", ".gone-"


def directory_of(places: Places, version_id: str) -> str:
    """Return the directory of a version."""
    return os.path.join(places.versions, version_id)


def current(places: Places) -> str:
    """Return the id of the version that `bin` links to, empty when it is not a link of ours."""
    with suppress(OSError):
        folder, _, version_id = os.readlink(places.bin).rpartition("/")
        return version_id if folder == os.path.basename(places.versions) else ""
    return ""


def require_bin(places: Places, programs: set[str]) -> None:
    """Raise HomeError if `bin` holds other programs than ours or those of an earlier Stigmer, such as /bin or ~/bin."""
    names = os.listdir(places.bin) if os.path.isdir(places.bin) and not current(places) else ()
    if programs.isdisjoint(names) and any(not name.startswith(".") for name in names):
        raise HomeError(f"{places.bin} holds other programs", "choose another home: `export STIGMER_HOME=~/.stigmer`")


def switch(places: Places, version_id: str) -> None:
    """Link `bin` to a version, by one rename. A `bin` of an earlier Stigmer is moved aside, not removed."""
    if (replaced := current(places)) == version_id:
        return
    if os.path.lexists(places.bin) and not replaced:
        os.rename(places.bin, free_name(f"{places.bin}.before-{version_id}"))
    os.symlink(os.path.join(os.path.basename(places.versions), version_id), f"{places.bin}.new")
    os.rename(f"{places.bin}.new", places.bin)


def outdated(places: Places, keep: Iterable[str]) -> list[str]:
    """Return the ids of versions that are neither in `keep` nor current; other directories are left alone."""
    kept = {*keep, current(places)}
    names = (name for name in _names(places) if not name.startswith(".") and name not in kept)
    return [name for name in names if os.path.exists(f"{directory_of(places, name)}/{VERSION_FILE}")]


def prune(places: Places, keep: Iterable[str]) -> None:
    """Remove the outdated versions, if possible; a rename hides each before its files are removed."""
    for name in outdated(places, keep):
        gone = directory_of(places, _GONE + name)
        with suppress(OSError):  # NFS keeps the files that a program still uses
            os.rename(directory_of(places, name), gone)
            remove_tree(gone)


def unfinished(places: Places) -> list[str]:
    """Return the names of unfinished installations and removals, of a running or a killed process."""
    return [name for name in _names(places) if name == STAGING or name.startswith(_GONE)]


def remove_unfinished(places: Places) -> None:
    """Remove the unfinished work of a killed process, if possible; the caller holds the install lock."""
    for name in unfinished(places):
        with suppress(OSError):
            remove_tree(directory_of(places, name))
    with suppress(OSError):
        os.unlink(f"{places.bin}.new")


def remove_tree(path: str) -> None:
    """Remove a directory tree or a file; links are not followed."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    for name in os.listdir(path):
        remove_tree(os.path.join(path, name))
    os.rmdir(path)


def _names(places: Places) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(os.listdir(places.versions))
    return []
