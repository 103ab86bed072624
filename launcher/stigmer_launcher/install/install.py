"""Installs the components: builds `versions/<id>` in a staging directory, renames it into place, then switches `bin`.

A start that finds everything unmodified reads one manifest and the status of each file, nothing more. Otherwise one process
per home installs, under a lock; if it is killed, at any instruction, the next start completes or removes its work.
Only copies are synced to disk: after a power loss the manifest shows what is missing, and it is installed again.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import filecopy, manifest, preflight, versions
from stigmer_launcher.install.filecopy import METHODS, Methods
from stigmer_launcher.install.payload import FileEntry, Keg, files_of
from stigmer_launcher.system import locks
from stigmer_launcher.system.places import Places, explain, prepare_home

LOCK = "install.lock"
_WAIT = 300.0  # seconds one start waits for another that copies to a slow disk


def install_lock(run: str, report: Callable[[str], None]) -> locks.Lock:
    """Acquire the lock that keeps other processes from installing and pruning; BusyError after five minutes."""
    return locks.acquire(os.path.join(run, LOCK), _WAIT, report, "prepares the components")


def install(
    keg: Keg,
    places: Places,
    report: Callable[[str], None],
    *,
    in_use: Callable[[], Iterable[str]] = tuple,
    methods: Methods = METHODS,
) -> bool:
    """Install the keg's components, switch to them, and return whether there was anything to do.

    Versions other than this one and those `in_use` are removed. `in_use` is called under the install lock, which a
    process also holds when it begins to use a version.
    HomeError when the home cannot be used, KegError when the keg is damaged, BusyError when another process takes too long.
    """
    if _is_current(keg, places):
        preflight.require_exec(places.versions)
        _tidy(keg, places, in_use)
        return False
    preflight.require_target(keg.payload.target)
    versions.require_bin(places, {entry.path for entry in files_of(keg.payload)})
    prepare_home(places.home, places.versions, places.run)
    preflight.require_exec(places.versions)
    with install_lock(places.run, report):
        if _is_current(keg, places):
            return False
        directory, staging = (versions.directory_of(places, name) for name in (keg.id, versions.STAGING))
        _Installer(keg, places, methods, report, directory, staging).install(in_use)
    return True


def _is_current(keg: Keg, places: Places) -> bool:
    """Return whether `bin` links to this keg's version and no file was modified; takes microseconds per file."""
    directory = versions.directory_of(places, keg.id)
    known = manifest.read_manifest(directory) if versions.current(places) == keg.id else {}
    return bool(known) and not manifest.modified_files(directory, known)


def _tidy(keg: Keg, places: Places, in_use: Callable[[], Iterable[str]]) -> None:
    """Remove versions no longer in use and the work of killed starts, unless another process installs: it does the same."""
    if not versions.outdated(places, (keg.id, *in_use())) and not versions.unfinished(places):
        return
    with suppress(OSError, LauncherError):
        if lock := locks.try_acquire(os.path.join(places.run, LOCK)):
            with lock:
                versions.remove_unfinished(places)
                versions.prune(places, (keg.id, *in_use()))


class _Installer(NamedTuple):
    """Installs one keg in one home by the allowed `methods`; `staging` holds unfinished work, and `report` gets each step."""

    keg: Keg
    places: Places
    methods: Methods
    report: Callable[[str], None]
    directory: str
    staging: str

    def install(self, in_use: Callable[[], Iterable[str]]) -> None:
        """Build or repair the version, switch to it, and remove outdated versions; explain system errors."""
        payload, places = self.keg.payload, self.places
        try:
            versions.remove_unfinished(places)
            preflight.require_native((self.keg.source(part.entry) for part in payload.components), payload.target)
            if os.path.isdir(self.directory):
                self.repair()
            else:
                self.report(f"preparing {payload.name} {payload.version} in {places.bin}")
                self.build()
            versions.switch(places, self.keg.id)
            versions.prune(places, (self.keg.id, *in_use()))
        except BaseException as error:
            versions.remove_unfinished(places)  # so that a full disk does not stay full
            if isinstance(error, OSError):
                preflight.require_symlinks(places.versions)
                raise explain(error, places.versions) from error
            raise

    def build(self) -> None:
        """Create every file in a staging directory, then rename that into place."""
        os.mkdir(self.staging)
        trial = f"{self.staging}/trial"  # finds the methods that work between the file systems of keg and home
        methods = filecopy.reproduce(f"{self.keg.libexec}/payload.json", trial, 0o600, self.methods)
        os.unlink(trial)
        manifest.write_manifest(self.staging, self.keg, self._create_files(files_of(self.keg.payload), methods))
        os.rename(self.staging, self.directory)

    def _create_files(self, files: Collection[FileEntry], methods: Methods) -> dict[str, int]:
        """Create the files and return their fingerprints; instead of a copy, link to an unmodified file of the current version."""
        previous = versions.directory_of(self.places, versions.current(self.places))
        kept: Collection[FileEntry] = ()
        if methods[0] is filecopy.copy:
            kept = {entry for entry in files if not manifest.flaw(f"{previous}/{entry.path}", entry)}
            size = sum(entry.size for entry in files if entry not in kept)
            preflight.require_space(self.places.versions, size, "the components")
        fingerprints: dict[str, int] = {}
        folders = {""}
        with _open_directory(self.keg.libexec) as libexec, _open_directory(self.staging) as target:
            for entry in files:
                path = entry.path
                _make_folder(path.rpartition("/")[0], folders, target)
                if entry in kept:
                    filecopy.reproduce(f"{previous}/{path}", f"{self.staging}/{path}", entry.mode, METHODS[1:])
                elif methods[0] is not filecopy.link or not _try_link(path, libexec, target):
                    self._reproduce(entry, f"{self.staging}/{path}", methods)
                status = os.lstat(path, dir_fd=target)
                self._raise_for_flaw(entry, manifest.visible_flaw(status, entry))
                fingerprints[path] = manifest.fingerprint_of(status)
        return fingerprints

    def repair(self) -> None:
        """Replace every file that is not as released, each by a rename, so that a running server never misses one."""
        os.mkdir(self.staging)
        known = manifest.read_manifest(self.directory)
        modified = manifest.modified_files(self.directory, known)
        fingerprints = {path: seen for path, seen in known.items() if path not in modified}
        for entry in files_of(self.keg.payload):
            if entry.path not in fingerprints:
                fingerprints[entry.path] = self._repair_file(entry)
        if fingerprints != known:
            manifest.write_manifest(self.staging, self.keg, fingerprints)
            for name in (manifest.VERSION_FILE, manifest.MANIFEST_FILE):
                _move(f"{self.staging}/{name}", f"{self.directory}/{name}")
        os.rmdir(self.staging)

    def _repair_file(self, entry: FileEntry) -> int:
        target, made = f"{self.directory}/{entry.path}", f"{self.staging}/made"
        if flaw := manifest.flaw(target, entry):
            self._reproduce(entry, made, self.methods)
            self._raise_for_flaw(entry, manifest.flaw(made, entry))
            _move(made, target)
            self.report(f"{target} {flaw}; replaced")
        return manifest.fingerprint_of(os.lstat(target))

    def _reproduce(self, entry: FileEntry, target: str, methods: Methods) -> None:
        source = self.keg.source(entry.path)
        try:
            filecopy.reproduce(source, target, entry.mode, methods)
        except OSError:
            self._raise_for_flaw(entry, manifest.flaw(source, entry))
            raise

    def _raise_for_flaw(self, entry: FileEntry, flaw: str) -> None:
        """Raise KegError if a file made from the keg's has a flaw, unless Homebrew has relocated the keg's."""
        if flaw and not manifest.is_relocated(source := self.keg.source(entry.path)):
            raise KegError(f"{source} {flaw}")


@contextmanager
def _open_directory(directory: str) -> Iterator[int]:
    """Open a directory to name files relative to it: absolute paths would cost a twentieth of an installation."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_link(path: str, libexec: int, target: int) -> bool:
    """Link a file of the keg, from an open directory to another; return whether that worked."""
    try:
        os.link(f"components/{path}", path, src_dir_fd=libexec, dst_dir_fd=target)
    except OSError:
        return False
    return True


def _make_folder(folder: str, made: set[str], directory: int) -> None:
    """Make a folder and its parents below an open directory, except those already in `made`; add them there."""
    if folder not in made:
        _make_folder(folder.rpartition("/")[0], made, directory)
        os.mkdir(folder, dir_fd=directory)
        made.add(folder)


def _move(scratch: str, target: str) -> None:
    """Rename a new file to its path, and replace whatever is there."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(target):
        versions.remove_tree(target)
    os.rename(scratch, target)
    with suppress(FileNotFoundError):
        os.unlink(scratch)  # rename(2) does nothing when both are links to one file
