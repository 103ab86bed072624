"""Lay one version's files: all of them into a fresh directory, or the damaged ones into one that exists."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from stigmer_launcher.errors import KegError
from stigmer_launcher.install import preflight, verify
from stigmer_launcher.install.filecopy import METHODS, Linking, Methods, link, reproduce, starting_with
from stigmer_launcher.install.manifest import (
    STAMP_FILE,
    VERSION_FILE,
    Keg,
    Mark,
    Stamp,
    files_of,
    mark,
    read_stamp,
    render_stamp,
    suspects,
)
from stigmer_launcher.install.payload import FileEntry
from stigmer_launcher.install.versions import Step, remove_tree

_LINK = ("link", link)
_TRIAL = ".trial"  # beside the versions' directories: what a killed start leaves is found and removed there


class Layer(NamedTuple):
    """What is laid and where, and two seams: who hears of each step, and which methods may be used."""

    keg: Keg
    directory: str
    step: Step
    methods: Methods = METHODS

    def make(self, aside: str, previous: str) -> Stamp:
        """Make every file in `aside`, then publish it under its own name by one rename.

        Where files must be copied, those that `previous` already has with the same content are linked from there.
        """
        files = files_of(self.keg.payload)
        self.step("make the directory")
        os.mkdir(aside)
        method = self._probe()
        known = _reusable(previous, files) if method == "copy" else frozenset()
        if method == "copy":
            preflight.require_space(os.path.dirname(aside), sum(entry.size for entry in files if entry not in known))
        for folder in _folders(files):
            os.mkdir(f"{aside}/{folder}")
        methods = starting_with(method, self.methods)
        if methods[0] == _LINK:
            marks = self._link(files, aside, methods)
        else:
            marks = {entry.path: (entry.sha256, self._lay(entry, aside, methods, previous if entry in known else ""))
                     for entry in files}  # fmt: skip
        stamp = self._seal(aside, method, marks)
        self.step("publish")
        os.rename(aside, self.directory)
        return stamp

    def heal(self, report: Callable[[str], None]) -> Stamp:
        """Replace every file that is not what was released, each by a rename, so that a running server sees no gap."""
        stamp = read_stamp(self.directory)
        if stamp is None or stamp.id != self.keg.id:
            stamp = Stamp(self.keg.id, self._probe(), {})
        marks = dict(stamp.files)
        doubted = {
            *suspects(self.directory, stamp),
            *(e.path for e in files_of(self.keg.payload) if e.path not in marks),
        }
        for entry in files_of(self.keg.payload):
            if entry.path in doubted:
                marks[entry.path] = (entry.sha256, self._heal(entry, stamp.method, report))
        return self._seal(self.directory, stamp.method, marks) if doubted or VERSION_FILE not in marks else stamp

    def _link(self, files: Iterable[FileEntry], aside: str, methods: Methods) -> dict[str, tuple[str, Mark]]:
        """Link every file; one that cannot be linked, or is not what was released, is laid in the way that says why."""
        marks = {}
        with Linking(self.keg.components, aside) as linking:
            for entry in files:
                path, size, sha256, mode = entry
                self.step(f"make {path}")
                seen = linking.link(path)
                if seen is None:
                    seen = self._lay(entry, aside, methods, "")
                elif seen.size != size or (seen.mode ^ mode) & 0o100:
                    seen = self._accept(entry, seen)
                marks[path] = (sha256, seen)
        return marks

    def _lay(self, entry: FileEntry, aside: str, methods: Methods, previous: str) -> Mark:
        target = f"{aside}/{entry.path}"
        self.step(f"make {entry.path}")
        if not (previous and _relink(f"{previous}/{entry.path}", target, entry)):
            self._reproduce(entry, target, methods)
        return self._accept(entry, mark(target))

    def _accept(self, entry: FileEntry, seen: Mark | None) -> Mark:
        """Give the mark of what was laid, unless it is not what was released: KegError says what it is instead."""
        if seen and seen.size == entry.size and seen.mode & 0o100 == entry.mode & 0o100:
            return seen
        source = self.keg.source(entry.path)
        if seen and not (found := verify.flaw_in_keg(source, entry)):
            return seen
        raise KegError(f"{source} {found if seen else 'is missing'}")

    def _heal(self, entry: FileEntry, method: str, report: Callable[[str], None]) -> Mark:
        source, target = self.keg.source(entry.path), os.path.join(self.directory, entry.path)
        if found := verify.flaw(target, entry):
            self.step(f"make {entry.path} again")
            trial = self._fresh_trial()
            self._reproduce(entry, trial, starting_with(method, self.methods))
            if (flaw := verify.flaw(trial, entry)) and not verify.is_relocated(source):
                raise KegError(f"{source} {flaw}")
            self.step(f"replace {entry.path}")
            _replace(trial, target)
            report(f"{target} {found}: made again")
        return mark(target) or Mark(-1, 0, 0, 0)

    def _reproduce(self, entry: FileEntry, target: str, methods: Methods) -> None:
        source = self.keg.source(entry.path)
        try:
            reproduce(source, target, entry.mode, methods)
        except OSError as error:
            if mark(source) is None or not os.access(source, os.R_OK):
                raise KegError(f"{source} {verify.flaw(source, entry) or error.strerror}") from error
            raise

    def _seal(self, directory: str, method: str, marks: dict[str, tuple[str, Mark]]) -> Stamp:
        """Write version and stamp; where a running server may look, each first beside its place."""
        published = directory == self.directory
        self.step("write the version")
        version = f"{directory}/{VERSION_FILE}"
        beside = self._fresh_trial() if published else version
        _write(beside, f"{self.keg.payload.version}\n")
        if published:
            _replace(beside, version)
        marks[VERSION_FILE] = ("", mark(version) or Mark(-1, 0, 0, 0))
        self.step("write the stamp")
        stamp, place = Stamp(self.keg.id, method, marks), f"{directory}/{STAMP_FILE}"
        beside = self._fresh_trial() if published else place
        _write(beside, render_stamp(stamp))
        if published:
            os.rename(beside, place)
        return stamp

    def _probe(self) -> str:
        """Find out how files can be made here, on a small file of the keg."""
        trial = self._fresh_trial()
        method = reproduce(os.path.join(self.keg.libexec, "payload.json"), trial, 0o600, self.methods)
        os.unlink(trial)
        return method

    def _fresh_trial(self) -> str:
        trial = os.path.join(os.path.dirname(self.directory), _TRIAL)
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
    stamp = read_stamp(previous)
    if stamp is None:
        return frozenset()
    doubted = suspects(previous, stamp)
    known = {path: (sha256, seen.mode & 0o100) for path, (sha256, seen) in stamp.files.items() if path not in doubted}
    return frozenset(entry for entry in files if known.get(entry.path) == (entry.sha256, entry.mode & 0o100))


def _relink(earlier: str, target: str, entry: FileEntry) -> bool:
    """Give an earlier version's file a second name here; False where that is not possible."""
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
