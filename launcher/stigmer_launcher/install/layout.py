"""Writes the files of one version: all of them into a new directory, or the damaged ones into an existing one."""

import json
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.install import manifest, preflight, verify, versions
from stigmer_launcher.install.filecopy import Methods, reproduce, starting_with
from stigmer_launcher.install.manifest import Fingerprint, InstallManifest, Keg
from stigmer_launcher.install.payload import FileEntry
from stigmer_launcher.system.places import Places

_STAGING, _SCRATCH = ".making", ".trial"  # beside the versions: what a killed start leaves is found and removed there


class Installer(NamedTuple):
    """What is installed and where; `methods` are the ways to make a file that may be used, `report` says what is done."""

    keg: Keg
    places: Places
    methods: Methods
    report: Callable[[str], None]

    def make(self) -> InstallManifest:
        """Create every file in a staging directory, then rename that into place.

        Where files must be copied, those that the version in use has as they were released are taken from there.
        """
        self.report(f"preparing {self.keg.payload.name} {self.keg.payload.version} in {self.places.bin}")
        files = manifest.files_of(self.keg.payload)
        staging, previous = self._beside(_STAGING), self._beside(versions.current(self.places))
        os.mkdir(staging)
        method = self._probe()
        kept: Collection[FileEntry] = ()
        if method == "copy":
            kept = {entry for entry in files if not verify.flaw(f"{previous}/{entry.path}", entry)}
            preflight.require_space(self.places.versions, sum(entry.size for entry in files if entry not in kept))
        for folder in _folders(files):
            os.mkdir(f"{staging}/{folder}")
        methods = starting_with(method, self.methods)
        fingerprints: dict[str, Fingerprint] = {}
        for entry in files:
            target = f"{staging}/{entry.path}"
            if entry in kept:
                reproduce(f"{previous}/{entry.path}", target, entry.mode, starting_with("link"))
            else:
                self._reproduce(entry, target, methods)
            fingerprints[entry.path] = self._accept(entry, target)
        made = self._write_manifest(staging, method, fingerprints)
        os.rename(staging, self._directory)
        return made

    def repair(self) -> InstallManifest:
        """Replace every file that is not what was released, each by a rename, so that a running server sees no gap."""
        known = manifest.read_manifest(self._directory) or InstallManifest(self.keg.id, self._probe(), {})
        modified = manifest.modified_files(self._directory, known)
        fingerprints = {path: seen for path, seen in known.files.items() if path not in modified}
        for entry in manifest.files_of(self.keg.payload):
            if entry.path not in fingerprints:
                fingerprints[entry.path] = self._repair(entry, known.method)
        if fingerprints == known.files:
            return known
        return self._write_manifest(self._directory, known.method, fingerprints)

    def _repair(self, entry: FileEntry, method: str) -> Fingerprint:
        target, scratch = f"{self._directory}/{entry.path}", self._beside(_SCRATCH)
        if flaw := verify.flaw(target, entry):
            self._reproduce(entry, scratch, starting_with(method, self.methods))
            self._blame_keg(entry, verify.flaw(scratch, entry))
            _move(scratch, target)
            self.report(f"{target} {flaw}: made again")
        return self._accept(entry, target)

    def _reproduce(self, entry: FileEntry, target: str, methods: Methods) -> None:
        source = self.keg.source(entry.path)
        try:
            reproduce(source, target, entry.mode, methods)
        except OSError:
            self._blame_keg(entry, verify.flaw(source, entry))
            raise

    def _accept(self, entry: FileEntry, path: str) -> Fingerprint:
        """Return the fingerprint of a file that is in place; KegError if a look shows that it is not as released."""
        status = os.lstat(path)
        self._blame_keg(entry, verify.visible_flaw(status, entry))
        return manifest.fingerprint_of(status)

    def _blame_keg(self, entry: FileEntry, flaw: str) -> None:
        """Raise KegError for a flaw of a file made from the keg's, unless Homebrew has changed that one."""
        if flaw and not verify.is_relocated(source := self.keg.source(entry.path)):
            raise KegError(f"{source} {flaw}")

    def _probe(self) -> str:
        """Find out how files can be made here, on a small file of the keg."""
        trial = self._beside(_SCRATCH)
        method = reproduce(f"{self.keg.libexec}/payload.json", trial, 0o600, self.methods)
        os.unlink(trial)
        return method

    def _write_manifest(self, directory: str, method: str, fingerprints: dict[str, Fingerprint]) -> InstallManifest:
        version = self._write(f"{directory}/{manifest.VERSION_FILE}", f"{self.keg.payload.version}\n")
        fingerprints[manifest.VERSION_FILE] = version
        written = InstallManifest(self.keg.id, method, fingerprints)
        self._write(f"{directory}/{manifest.MANIFEST_FILE}", json.dumps(written._asdict()))
        return written

    def _write(self, path: str, text: str) -> Fingerprint:
        scratch = self._beside(_SCRATCH)
        with open(scratch, "x", encoding="utf-8") as stream:
            stream.write(text)
        _move(scratch, path)
        return manifest.fingerprint_of(os.lstat(path))

    @property
    def _directory(self) -> str:
        return self._beside(self.keg.id)

    def _beside(self, name: str) -> str:
        return versions.directory_of(self.places, name)


def _folders(files: Iterable[FileEntry]) -> list[str]:
    """List the directories the files need, each after the one it lies in."""
    folders: set[str] = set()
    level = {entry.path for entry in files}
    while level := {path.rpartition("/")[0] for path in level} - {""}:
        folders |= level
    return sorted(folders)


def _move(scratch: str, target: str) -> None:
    """Rename a file that was made aside to its place, whatever is there."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        versions.remove_tree(target)
    os.rename(scratch, target)
    with suppress(FileNotFoundError):
        os.unlink(scratch)  # rename(2) does nothing when both are links to one file
