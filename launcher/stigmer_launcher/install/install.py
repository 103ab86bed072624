"""Installs the components: builds `versions/<id>` in a staging directory, renames it into place, then switches `bin`.

A start that finds everything unmodified reads one manifest and the status of each file, nothing more. Otherwise one process
per home works, under a lock; killed at any instruction it leaves what the next start completes or removes.
Only copies are synced to disk: after a power loss the manifest shows what is missing, and it is installed again.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import filecopy, manifest, preflight, versions
from stigmer_launcher.install.filecopy import METHODS, Methods
from stigmer_launcher.install.manifest import Keg
from stigmer_launcher.install.payload import FileEntry
from stigmer_launcher.system import locks
from stigmer_launcher.system.places import Places, explain, prepare_home

LOCK = "install.lock"
_WAIT = 300.0  # seconds one start waits for another that copies to a slow disk
_STAGING = ".making"  # beside the versions: what a killed start leaves in it is found and removed there


def install_lock(run: str, report: Callable[[str], None]) -> locks.Lock:
    """Acquire the lock that keeps other processes from installing and pruning; BusyError after five minutes."""
    return locks.wait(os.path.join(run, LOCK), _WAIT, report, "prepares the components")


def install(
    keg: Keg,
    places: Places,
    report: Callable[[str], None],
    *,
    in_use: Callable[[], Iterable[str]] = tuple,
    methods: Methods = METHODS,
) -> bool:
    """Install the keg's components, switch to them, and return whether there was anything to do.

    Versions other than this one and those `in_use` are removed. `in_use` is called under the install lock, which is also
    held by whoever begins to use a version.
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
    with install_lock(places.run, report) as lock:
        if _is_current(keg, places):
            return False
        _Installer(keg, places, filecopy.possible(lock.descriptor, methods), report).install(in_use)
    return True


def _is_current(keg: Keg, places: Places) -> bool:
    """Return whether `bin` points to this keg's version and no file was modified; microseconds per file."""
    directory = versions.directory_of(places, keg.id)
    known = manifest.read_manifest(directory) if versions.current(places) == keg.id else {}
    return bool(known) and not manifest.modified_files(directory, known)


def _tidy(keg: Keg, places: Places, in_use: Callable[[], Iterable[str]]) -> None:
    """Remove versions that were in use until now, and what a killed start left; whoever installs now does it as well."""
    if not versions.outdated(places, (keg.id, *in_use())) and not versions.leftovers(places):
        return
    with suppress(OSError, LauncherError):
        if lock := locks.hold(os.path.join(places.run, LOCK)):
            with lock:
                versions.clear(places)
                versions.prune(places, (keg.id, *in_use()))


class _Installer(NamedTuple):
    """What is installed and where; `methods` are the ways to make a file that may be used, `report` says what is done."""

    keg: Keg
    places: Places
    methods: Methods
    report: Callable[[str], None]

    def install(self, in_use: Callable[[], Iterable[str]]) -> None:
        """Install what is missing and remove outdated versions.

        On failure, unfinished work is removed, so that a full disk does not stay full, and system errors are explained.
        """
        payload, places = self.keg.payload, self.places
        try:
            versions.clear(places)
            preflight.require_native((self.keg.source(part.entry) for part in payload.components), payload.target)
            if os.path.isdir(self._directory):
                self.repair()
            else:
                self.report(f"preparing {payload.name} {payload.version} in {places.bin}")
                self.make()
            versions.switch(places, self.keg.id)
            versions.prune(places, (self.keg.id, *in_use()))
        except BaseException as error:
            with suppress(OSError):
                versions.clear(places)
            if isinstance(error, OSError):
                raise explain(error, places.versions) from error
            raise

    def make(self) -> None:
        """Create every file in a staging directory, then rename that into place.

        Where files must be copied, those that the version in use has as they were released are taken from there.
        """
        files = manifest.files_of(self.keg.payload)
        os.mkdir(self._staging)
        trial = f"{self._staging}/trial"
        methods = filecopy.reproduce(f"{self.keg.libexec}/payload.json", trial, 0o600, self.methods)
        os.unlink(trial)
        previous = versions.directory_of(self.places, versions.current(self.places))
        kept: Collection[FileEntry] = ()
        if methods[0] is filecopy.copy:
            kept = {entry for entry in files if not manifest.flaw(f"{previous}/{entry.path}", entry)}
            preflight.require_space(self.places.versions, sum(entry.size for entry in files if entry not in kept))
        fingerprints: dict[str, int] = {}
        folders = {""}
        with _opened(self.keg.libexec) as libexec, _opened(self._staging) as target:
            for entry in files:
                path = entry.path
                _make_folder(path.rpartition("/")[0], folders, target)
                if entry in kept:
                    filecopy.reproduce(f"{previous}/{path}", f"{self._staging}/{path}", entry.mode, METHODS[1:])
                elif methods[0] is not filecopy.link or not _linked(path, libexec, target):
                    self._reproduce(entry, f"{self._staging}/{path}", methods)
                status = os.lstat(path, dir_fd=target)
                if flaw := manifest.visible_flaw(status, entry):
                    self._blame_keg(entry, flaw)
                fingerprints[path] = manifest.fingerprint_of(status)
        manifest.write_manifest(self._staging, self.keg, fingerprints)
        os.rename(self._staging, self._directory)

    def repair(self) -> None:
        """Replace every file that is not what was released, each by a rename, so that a running server sees no gap."""
        os.mkdir(self._staging)
        known = manifest.read_manifest(self._directory)
        modified = manifest.modified_files(self._directory, known)
        fingerprints = {path: seen for path, seen in known.items() if path not in modified}
        for entry in manifest.files_of(self.keg.payload):
            if entry.path not in fingerprints:
                fingerprints[entry.path] = self._repair_file(entry)
        if fingerprints != known:
            manifest.write_manifest(self._staging, self.keg, fingerprints)
            for name in (manifest.VERSION_FILE, manifest.MANIFEST_FILE):
                _move(f"{self._staging}/{name}", f"{self._directory}/{name}")
        os.rmdir(self._staging)

    def _repair_file(self, entry: FileEntry) -> int:
        target, made = f"{self._directory}/{entry.path}", f"{self._staging}/made"
        if flaw := manifest.flaw(target, entry):
            self._reproduce(entry, made, self.methods)
            self._blame_keg(entry, manifest.flaw(made, entry))
            _move(made, target)
            self.report(f"{target} {flaw}: made again")
        return manifest.fingerprint_of(os.lstat(target))

    def _reproduce(self, entry: FileEntry, target: str, methods: Methods) -> None:
        source = self.keg.source(entry.path)
        try:
            filecopy.reproduce(source, target, entry.mode, methods)
        except OSError:
            self._blame_keg(entry, manifest.flaw(source, entry))
            raise

    def _blame_keg(self, entry: FileEntry, flaw: str) -> None:
        """Raise KegError for a flaw of a file made from the keg's, unless Homebrew has changed that one."""
        if flaw and not manifest.is_relocated(source := self.keg.source(entry.path)):
            raise KegError(f"{source} {flaw}")

    @property
    def _directory(self) -> str:
        return versions.directory_of(self.places, self.keg.id)

    @property
    def _staging(self) -> str:
        return versions.directory_of(self.places, _STAGING)


@contextmanager
def _opened(directory: str) -> Iterator[int]:
    """Open a directory, so that files are named from there: whole paths cost a twentieth of an installation."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _linked(path: str, libexec: int, target: int) -> bool:
    try:
        os.link(f"components/{path}", path, src_dir_fd=libexec, dst_dir_fd=target)
    except OSError:
        return False
    return True


def _make_folder(folder: str, made: set[str], directory: int) -> None:
    """Make a folder below an open directory, and those that it lies in, unless they are among those `made` already."""
    if folder not in made:
        _make_folder(folder.rpartition("/")[0], made, directory)
        os.mkdir(folder, dir_fd=directory)
        made.add(folder)


def _move(scratch: str, target: str) -> None:
    """Rename a file that was made aside to its place, whatever is there."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        versions.remove_tree(target)
    os.rename(scratch, target)
    with suppress(FileNotFoundError):
        os.unlink(scratch)  # rename(2) does nothing when both are links to one file
