"""Writes the files of one version: all of them into a new directory, or the damaged ones into an existing one."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.install import manifest, preflight, verify, versions
from stigmer_launcher.install.filecopy import METHODS, Methods, copy, link, reproduce
from stigmer_launcher.install.manifest import Fingerprints, Keg
from stigmer_launcher.install.payload import FileEntry
from stigmer_launcher.system.places import Places

_STAGING = ".making"  # beside the versions: what a killed start leaves in it is found and removed there


class Installer(NamedTuple):
    """What is installed and where; `methods` are the ways to make a file that may be used, `report` says what is done."""

    keg: Keg
    places: Places
    methods: Methods
    report: Callable[[str], None]

    def make(self) -> None:
        """Create every file in a staging directory, then rename that into place.

        Where files must be copied, those that the version in use has as they were released are taken from there.
        """
        self.report(f"preparing {self.keg.payload.name} {self.keg.payload.version} in {self.places.bin}")
        files = manifest.files_of(self.keg.payload)
        os.mkdir(self._staging)
        methods = self._probe()
        previous = versions.directory_of(self.places, versions.current(self.places))
        kept: Collection[FileEntry] = ()
        if methods[0] is copy:
            kept = {entry for entry in files if not verify.flaw(f"{previous}/{entry.path}", entry)}
            preflight.require_space(self.places.versions, sum(entry.size for entry in files if entry not in kept))
        fingerprints: Fingerprints = {}
        folders = {""}
        with _opened(self.keg.libexec) as libexec, _opened(self._staging) as target:
            for entry in files:
                path = entry.path
                _make_folder(path.rpartition("/")[0], folders, target)
                if entry in kept:
                    reproduce(f"{previous}/{path}", f"{self._staging}/{path}", entry.mode, METHODS[1:])
                elif methods[0] is not link or not _linked(path, libexec, target):
                    self._reproduce(entry, f"{self._staging}/{path}", methods)
                fingerprints[path] = self._accept(entry, os.lstat(path, dir_fd=target))
        self._write_manifest(fingerprints)
        os.rename(self._staging, self._directory)

    def repair(self) -> None:
        """Replace every file that is not what was released, each by a rename, so that a running server sees no gap."""
        os.mkdir(self._staging)
        known = manifest.read_manifest(self._directory)
        modified = manifest.modified_files(self._directory, known)
        fingerprints = {path: seen for path, seen in known.items() if path not in modified}
        for entry in manifest.files_of(self.keg.payload):
            if entry.path not in fingerprints:
                fingerprints[entry.path] = self._repair(entry)
        if fingerprints != known:
            self._write_manifest(fingerprints)
            for name in (manifest.VERSION_FILE, manifest.MANIFEST_FILE):
                _move(f"{self._staging}/{name}", f"{self._directory}/{name}")
        os.rmdir(self._staging)

    def _repair(self, entry: FileEntry) -> int:
        target, made = f"{self._directory}/{entry.path}", f"{self._staging}/made"
        if flaw := verify.flaw(target, entry):
            self._reproduce(entry, made, self.methods)
            self._blame_keg(entry, verify.flaw(made, entry))
            _move(made, target)
            self.report(f"{target} {flaw}: made again")
        return self._accept(entry, os.lstat(target))

    def _reproduce(self, entry: FileEntry, target: str, methods: Methods) -> None:
        source = self.keg.source(entry.path)
        try:
            reproduce(source, target, entry.mode, methods)
        except OSError:
            self._blame_keg(entry, verify.flaw(source, entry))
            raise

    def _accept(self, entry: FileEntry, status: os.stat_result) -> int:
        """Return the fingerprint of a file that is in place; KegError if a look shows that it is not as released."""
        if flaw := verify.visible_flaw(status, entry):
            self._blame_keg(entry, flaw)
        return manifest.fingerprint_of(status)

    def _blame_keg(self, entry: FileEntry, flaw: str) -> None:
        """Raise KegError for a flaw of a file made from the keg's, unless Homebrew has changed that one."""
        if flaw and not verify.is_relocated(source := self.keg.source(entry.path)):
            raise KegError(f"{source} {flaw}")

    def _probe(self) -> Methods:
        """Find out how files can be made here, on a small file of the keg."""
        trial = f"{self._staging}/trial"
        methods = reproduce(f"{self.keg.libexec}/payload.json", trial, 0o600, self.methods)
        os.unlink(trial)
        return methods

    def _write_manifest(self, fingerprints: Fingerprints) -> None:
        """Write version and manifest into the staging directory."""
        version = f"{self._staging}/{manifest.VERSION_FILE}"
        with open(version, "x", encoding="utf-8") as stream:
            stream.write(f"{self.keg.payload.version}\n")
        fingerprints[manifest.VERSION_FILE] = manifest.fingerprint_of(os.lstat(version))
        with open(f"{self._staging}/{manifest.MANIFEST_FILE}", "x", encoding="utf-8") as stream:
            stream.write(manifest.render_manifest(self.keg, fingerprints))

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
