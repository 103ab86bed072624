"""Writes the files of one version: all of them into a new directory, or the damaged ones into an existing one."""

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.install import manifest, preflight, verify
from stigmer_launcher.install.filecopy import Methods, reproduce, starting_with
from stigmer_launcher.install.manifest import Fingerprint, InstallManifest, Keg
from stigmer_launcher.install.payload import FileEntry
from stigmer_launcher.install.versions import remove_tree

_SCRATCH = ".trial"  # beside the versions' directories: what a killed start leaves is found and removed there


class Installer(NamedTuple):
    """What is installed and where; `methods` are the ways to make a file that may be used."""

    keg: Keg
    directory: str
    methods: Methods

    def make(self, aside: str, previous: str) -> InstallManifest:
        """Create every file in the directory `aside`, then rename it into place.

        Where files must be copied, those that `previous` already has as they were released are linked from there.
        """
        files = manifest.files_of(self.keg.payload)
        os.mkdir(aside)
        method = self._probe()
        origin, links = self.keg.components, files if method == "link" else ()
        if method == "copy":
            origin, links = previous, tuple(e for e in files if not verify.flaw(f"{previous}/{e.path}", e))
            preflight.require_space(os.path.dirname(aside), _size(files) - _size(links))
        for folder in _folders(files):
            os.mkdir(f"{aside}/{folder}")
        linked = _link(links, origin, aside)
        methods = starting_with(method, self.methods)
        for entry in files:
            if entry.path not in linked:
                self._reproduce(entry, f"{aside}/{entry.path}", methods)
        fingerprints = {entry.path: self._accept(entry, f"{aside}/{entry.path}") for entry in files}
        made = self._write_manifest(aside, method, fingerprints)
        os.rename(aside, self.directory)
        return made

    def repair(self, report: Callable[[str], None]) -> InstallManifest:
        """Replace every file that is not what was released, each by a rename, so that a running server sees no gap."""
        known = manifest.read_manifest(self.directory) or InstallManifest(self.keg.id, self._probe(), {})
        modified = manifest.modified_files(self.directory, known)
        fingerprints = {path: seen for path, seen in known.files.items() if path not in modified}
        for entry in manifest.files_of(self.keg.payload):
            if entry.path not in fingerprints:
                fingerprints[entry.path] = self._repair(entry, known.method, report)
        if fingerprints == known.files:
            return known
        return self._write_manifest(self.directory, known.method, fingerprints)

    def _repair(self, entry: FileEntry, method: str, report: Callable[[str], None]) -> Fingerprint:
        target = f"{self.directory}/{entry.path}"
        if found := verify.flaw(target, entry):
            self._reproduce(entry, self._scratch, starting_with(method, self.methods))
            self._blame_keg(entry, verify.flaw(self._scratch, entry))
            self._move_scratch(target)
            report(f"{target} {found}: made again")
        return manifest.fingerprint(target) or []

    def _accept(self, entry: FileEntry, path: str) -> Fingerprint:
        """Return the fingerprint of a file that was made; KegError if it can be seen to differ from the release."""
        status = os.lstat(path)
        self._blame_keg(entry, verify.visible_flaw(status, entry))
        return manifest.fingerprint_of(status)

    def _blame_keg(self, entry: FileEntry, flaw: str) -> None:
        """Raise KegError for a flaw in what was made from a file of the keg, unless Homebrew has changed that file."""
        source = self.keg.source(entry.path)
        if flaw and not verify.is_relocated(source):
            raise KegError(f"{source} {flaw}")

    def _reproduce(self, entry: FileEntry, target: str, methods: Methods) -> None:
        source = self.keg.source(entry.path)
        try:
            reproduce(source, target, entry.mode, methods)
        except OSError as error:
            if flaw := verify.flaw_in_keg(source, entry):
                raise KegError(f"{source} {flaw}") from error
            raise

    def _probe(self) -> str:
        """Find out how files can be made here, on a small file of the keg."""
        method = reproduce(f"{self.keg.libexec}/payload.json", self._scratch, 0o600, self.methods)
        os.unlink(self._scratch)
        return method

    def _write_manifest(self, directory: str, method: str, fingerprints: dict[str, Fingerprint]) -> InstallManifest:
        self._write(f"{directory}/{manifest.VERSION_FILE}", f"{self.keg.payload.version}\n")
        fingerprints[manifest.VERSION_FILE] = manifest.fingerprint(f"{directory}/{manifest.VERSION_FILE}") or []
        written = InstallManifest(self.keg.id, method, fingerprints)
        self._write(f"{directory}/{manifest.MANIFEST_FILE}", manifest.render_manifest(written))
        return written

    def _write(self, path: str, text: str) -> None:
        with open(self._scratch, "x", encoding="utf-8") as stream:
            stream.write(text)
        self._move_scratch(path)

    @property
    def _scratch(self) -> str:
        return f"{os.path.dirname(self.directory)}/{_SCRATCH}"

    def _move_scratch(self, target: str) -> None:
        """Rename the file that was made aside to its place, whatever is there."""
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(target) and not os.path.islink(target):
            remove_tree(target)
        os.rename(self._scratch, target)


def _folders(files: Iterable[FileEntry]) -> list[str]:
    """List the directories the files need, each after the one it lies in."""
    folders = {""}
    for entry in files:
        folder = entry.path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(folders)[1:]


def _size(files: Iterable[FileEntry]) -> int:
    return sum(entry.size for entry in files)


def _link(files: Collection[FileEntry], origin: str, aside: str) -> set[str]:
    """Hard-link files below `origin`, and return the paths of those that could be linked."""
    linked = set()
    for entry in files:
        with suppress(OSError):
            os.link(f"{origin}/{entry.path}", f"{aside}/{entry.path}")
            linked.add(entry.path)
    return linked
