"""Installs the components: builds `versions/<id>` in a staging directory, renames it into place, then switches `bin`.

A start that finds everything unmodified reads one manifest and the status of each file, nothing more. Otherwise one process
per home works, under a lock; killed at any instruction it leaves what the next start completes or removes.
Only copies are synced to disk: after a power loss the manifest shows what is missing, and it is installed again.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from stigmer_launcher.errors import LauncherError
from stigmer_launcher.install import preflight, versions
from stigmer_launcher.install.filecopy import METHODS, Methods, possible
from stigmer_launcher.install.layout import Installer
from stigmer_launcher.install.manifest import Keg, modified_files, read_manifest
from stigmer_launcher.system import locks
from stigmer_launcher.system.places import Places, explain, prepare_home

LOCK = "install.lock"
_WAIT = 300.0  # seconds one start waits for another that copies to a slow disk


def install_lock(run: str, notify: Callable[[int], None]) -> locks.Lock:
    """Acquire the install lock, so that no other process installs or prunes components.

    `notify` is called with the pid that holds it; BusyError after five minutes.
    """
    return locks.wait(os.path.join(run, LOCK), _WAIT, notify)


def install(
    keg: Keg,
    places: Places,
    report: Callable[[str], None],
    *,
    in_use: Callable[[], Iterable[str]] = tuple,
    methods: Methods = METHODS,
) -> bool:
    """Install the keg's components, switch to them, and return whether there was anything to do.

    Versions other than this one and those `in_use` are removed. `in_use` is called under the install lock, which is also held by whoever begins to use a version.
    HomeError when the home cannot hold them, KegError when the keg itself is at fault, BusyError when another process
    takes too long.
    """
    if _is_current(keg, places):
        preflight.require_exec(places.versions)
        _tidy(keg, places, in_use)
        return False
    preflight.require_target(keg.payload.target)
    prepare_home(places.home, places.versions, places.run)
    preflight.require_exec(places.versions)
    with install_lock(
        places.run, lambda pid: report(f"process {pid} is preparing the components; waiting for it")
    ) as lock:
        if _is_current(keg, places):
            return False
        _change(Installer(keg, places, possible(lock.descriptor, methods), report), in_use)
    return True


def _is_current(keg: Keg, places: Places) -> bool:
    """Return whether `bin` points to this keg's version and no file was modified; microseconds per file."""
    directory = versions.directory_of(places, keg.id)
    manifest = read_manifest(directory) if versions.current(places) == keg.id else {}
    return bool(manifest) and not modified_files(directory, manifest)


def _change(installer: Installer, in_use: Callable[[], Iterable[str]]) -> None:
    """Install what is missing and remove outdated versions.

    On failure, unfinished work is removed, so that a full disk does not stay full, and system errors are explained.
    """
    keg, places = installer.keg, installer.places
    exists = os.path.isdir(versions.directory_of(places, keg.id))
    try:
        versions.clear(places)
        preflight.require_native((keg.source(part.entry) for part in keg.payload.components), keg.payload.target)
        if exists:
            installer.repair()
        else:
            installer.make()
        versions.switch(places, keg.id)
        versions.prune(places, (keg.id, *in_use()))
    except BaseException as error:
        with suppress(OSError):
            versions.clear(places)
        if isinstance(error, OSError):
            raise explain(error, places.versions) from error
        raise


def _tidy(keg: Keg, places: Places, in_use: Callable[[], Iterable[str]]) -> None:
    """Remove versions that were still in use when this one came, and what a killed start left behind.

    A process that is installing at the moment does it as well.
    """
    if not versions.outdated(places, (keg.id, *in_use())) and not versions.leftovers(places):
        return
    with suppress(OSError, LauncherError):
        if lock := locks.hold(os.path.join(places.run, LOCK)):
            with lock:
                versions.clear(places)
                versions.prune(places, (keg.id, *in_use()))
