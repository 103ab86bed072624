"""Writes the files of one version: all of them into a new directory, or the damaged ones into an existing one."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.install import preflight, verify
from stigmer_launcher.install.filecopy import METHODS, Methods, link, opened_directory, reproduce, starting_with
from stigmer_launcher.install.manifest import (
    MANIFEST_FILE,
    VERSION_FILE,
    Fingerprint,
    InstallManifest,
    Keg,
    files_of,
    fingerprint,
    fingerprint_of,
    modified_files,
    read_manifest,
    render_manifest,
)
from stigmer_launcher.install.payload import FileEntry
from stigmer_launcher.install.versions import remove_tree

_LINK = ("link", link)
_SCRATCH = ".trial"  # beside the versions' directories: what a killed start leaves is found and removed there


class Installer(NamedTuple):
    """What is installed and where; `methods` are the ways to make a file that may be used."""

    keg: Keg
    directory: str
    methods: Methods = METHODS

    def make(self, aside: str, previous: str) -> InstallManifest:
        """Create every file in the directory `aside`, then rename it into place.

        Where files must be copied, those that `previous` already has with the same content are linked from there.
        """
        files = files_of(self.keg.payload)
        os.mkdir(aside)
        method = self._probe()
        known = _reusable(previous, files) if method == "copy" else frozenset()
        if method == "copy":
            preflight.require_space(os.path.dirname(aside), sum(entry.size for entry in files if entry not in known))
        for folder in _folders(files):
            os.mkdir(f"{aside}/{folder}")
        methods = starting_with(method, self.methods)
        if methods[0] == _LINK:
            fingerprints = self._link(files, aside, methods)
        else:
            fingerprints = {entry.path: (entry.sha256, self._place(entry, aside, methods, previous if entry in known else ""))
                     for entry in files}  # fmt: skip
        manifest = self._write_manifest(aside, method, fingerprints)
        os.rename(aside, self.directory)
        return manifest

    def repair(self, report: Callable[[str], None]) -> InstallManifest:
        """Replace every file that is not what was released, each by a rename, so that a running server sees no gap."""
        manifest = read_manifest(self.directory)
        if manifest is None or manifest.id != self.keg.id:
            manifest = InstallManifest(self.keg.id, self._probe(), {})
        fingerprints = dict(manifest.files)
        modified = {
            *modified_files(self.directory, manifest),
            *(e.path for e in files_of(self.keg.payload) if e.path not in fingerprints),
        }
        for entry in files_of(self.keg.payload):
            if entry.path in modified:
                fingerprints[entry.path] = (entry.sha256, self._repair(entry, manifest.method, report))
        return (
            self._write_manifest(self.directory, manifest.method, fingerprints)
            if modified or VERSION_FILE not in fingerprints
            else manifest
        )

    def _link(self, files: Iterable[FileEntry], aside: str, methods: Methods) -> dict[str, tuple[str, Fingerprint]]:
        """Hard-link every file; one that cannot be linked or differs from the release takes the slow path, which reports why."""
        fingerprints: dict[str, tuple[str, Fingerprint]] = {}
        with opened_directory(self.keg.components) as source, opened_directory(aside) as target:
            for entry in files:
                path, size, sha256, mode = entry
                try:
                    os.link(path, path, src_dir_fd=source, dst_dir_fd=target)
                    seen = fingerprint_of(os.lstat(path, dir_fd=target))
                except OSError:
                    seen = None
                if seen is None:
                    seen = self._place(entry, aside, methods, "")
                elif seen.size != size or (seen.mode ^ mode) & 0o100:
                    seen = self._accept(entry, seen)
                fingerprints[path] = (sha256, seen)
        return fingerprints

    def _place(self, entry: FileEntry, aside: str, methods: Methods, previous: str) -> Fingerprint:
        target = f"{aside}/{entry.path}"
        if not (previous and _relink(f"{previous}/{entry.path}", target, entry)):
            self._reproduce(entry, target, methods)
        return self._accept(entry, fingerprint(target))

    def _accept(self, entry: FileEntry, seen: Fingerprint | None) -> Fingerprint:
        """Return the fingerprint of an installed file; KegError if it differs from the release."""
        if seen and seen.size == entry.size and seen.mode & 0o100 == entry.mode & 0o100:
            return seen
        source = self.keg.source(entry.path)
        if seen and not (found := verify.flaw_in_keg(source, entry)):
            return seen
        raise KegError(f"{source} {found if seen else 'is missing'}")

    def _repair(self, entry: FileEntry, method: str, report: Callable[[str], None]) -> Fingerprint:
        source, target = self.keg.source(entry.path), os.path.join(self.directory, entry.path)
        if found := verify.flaw(target, entry):
            trial = self._scratch_path()
            self._reproduce(entry, trial, starting_with(method, self.methods))
            if (flaw := verify.flaw(trial, entry)) and not verify.is_relocated(source):
                raise KegError(f"{source} {flaw}")
            _replace(trial, target)
            report(f"{target} {found}: made again")
        return fingerprint(target) or Fingerprint(-1, 0, 0, 0)

    def _reproduce(self, entry: FileEntry, target: str, methods: Methods) -> None:
        source = self.keg.source(entry.path)
        try:
            reproduce(source, target, entry.mode, methods)
        except OSError as error:
            if fingerprint(source) is None or not os.access(source, os.R_OK):
                raise KegError(f"{source} {verify.flaw(source, entry) or error.strerror}") from error
            raise

    def _write_manifest(
        self, directory: str, method: str, fingerprints: dict[str, tuple[str, Fingerprint]]
    ) -> InstallManifest:
        """Write version and manifest; into a directory in use, each by way of a scratch file and a rename."""
        published = directory == self.directory
        version = f"{directory}/{VERSION_FILE}"
        beside = self._scratch_path() if published else version
        _write(beside, f"{self.keg.payload.version}\n")
        if published:
            _replace(beside, version)
        fingerprints[VERSION_FILE] = ("", fingerprint(version) or Fingerprint(-1, 0, 0, 0))
        manifest, place = InstallManifest(self.keg.id, method, fingerprints), f"{directory}/{MANIFEST_FILE}"
        beside = self._scratch_path() if published else place
        _write(beside, render_manifest(manifest))
        if published:
            os.rename(beside, place)
        return manifest

    def _probe(self) -> str:
        """Find out how files can be made here, on a small file of the keg."""
        trial = self._scratch_path()
        method = reproduce(os.path.join(self.keg.libexec, "payload.json"), trial, 0o600, self.methods)
        os.unlink(trial)
        return method

    def _scratch_path(self) -> str:
        trial = os.path.join(os.path.dirname(self.directory), _SCRATCH)
        with suppress(FileNotFoundError):
            os.unlink(trial)
        return trial


def _folders(files: Iterable[FileEntry]) -> list[str]:
    """List the directories the files need, each after the one it lies in."""
    folders = {""}
    for entry in files:
        folder = entry.path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(folders)[1:]


def _reusable(previous: str, files: Iterable[FileEntry]) -> frozenset[FileEntry]:
    """Choose the files that an earlier version has under the same name, with the same content, as it was made."""
    manifest = read_manifest(previous)
    if manifest is None:
        return frozenset()
    modified = modified_files(previous, manifest)
    known = {
        path: (sha256, seen.mode & 0o100) for path, (sha256, seen) in manifest.files.items() if path not in modified
    }
    return frozenset(entry for entry in files if known.get(entry.path) == (entry.sha256, entry.mode & 0o100))


def _relink(earlier: str, target: str, entry: FileEntry) -> bool:
    """Hard-link a file of an earlier version; False where that is not possible."""
    with suppress(OSError):
        link(earlier, target, entry.mode)
        return True
    return False


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb", buffering=0) as stream:
        left = memoryview(text.encode())
        while left:
            left = left[stream.write(left) or 0 :]


def _replace(trial: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        remove_tree(target)
    os.rename(trial, target)
