"""Storage of artefacts and records. Each is put in place complete, by a rename, or not at all."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stigmer_packaging.lib import digest
from stigmer_packaging.lib.errors import BusyError, RecordError
from stigmer_packaging.records.model import BuiltPart, FileRecord, Keg, ReleaseFile
from stigmer_packaging.records.text import Record, parse_record, render_record


@dataclass(frozen=True)
class Workspace:
    """`root` holds this checkout's artefacts and records; `cache`, outside the checkout, what checkouts may share."""

    root: Path
    cache: Path

    def path(self, relative: str) -> Path:
        """Return the absolute path of an artefact."""
        return self.root / relative

    @contextlib.contextmanager
    def locked(self, activity: str) -> Iterator[None]:
        """Lock the workspace and remove what killed runs left in it.

        BusyError, with the holder's pid and activity, if another process holds the lock. The kernel releases it
        when its holder ends, however it ends.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+", encoding="utf-8") as holder:
            try:
                fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder.seek(0)
                raise BusyError(f"the workspace {self.root} is in use by {holder.read().strip()}") from None
            holder.truncate(0)
            holder.write(f"process {os.getpid()}: {activity}\n")
            holder.flush()
            shutil.rmtree(self.root / "staging", ignore_errors=True)
            yield

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a new directory on the workspace's file system, which is removed afterwards in any case."""
        parent = self.root / "staging"
        parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def publish(self, staged: Path, relative: str) -> Path:
        """Move a finished file or directory to its place by one rename, and replace the previous one."""
        place = self.path(relative)
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(place) and (place.is_dir() or staged.is_dir()):
            with self.staging() as aside:
                place.rename(aside / "old")
                staged.rename(place)
        else:
            staged.replace(place)
        return place

    def add_file(self, staged: Path, record: str, **facts: Any) -> ReleaseFile:
        """Publish a finished file of a release at `path` of its facts, and write and return its record."""
        file = ReleaseFile(size=staged.stat().st_size, sha256=digest.sha256_of(staged), **facts)
        self.publish(staged, file.path)
        self.write_record(record, file)
        return file

    def add_part(self, staged: Path, record: str, **facts: Any) -> BuiltPart:
        """Publish the folder of a part, and write and return its record; `record` is the name of both."""
        part = BuiltPart(root=record, files=scan_files(staged), **facts)
        self.publish(staged, record)
        self.write_record(record, part)
        return part

    def write_record(self, name: str, record: object) -> Path:
        """Write a record as `records/NAME.json`, atomically. Names are paths such as `obtain/linux-amd64/temporal`."""
        with self.staging() as staged:
            (staged / "record").write_text(render_record(record), encoding="utf-8")
            return self.publish(staged / "record", f"records/{name}.json")

    def read_record(self, name: str, kind: type[Record]) -> Record:
        """Read a record; RecordError if it is missing or not of that kind."""
        try:
            text = self.path(f"records/{name}.json").read_bytes()
        except FileNotFoundError:
            raise RecordError(f"there is no record {name}") from None
        return parse_record(text, kind, f"the record {name}")

    def verified_path(self, record: Keg | ReleaseFile) -> Path:
        """Return the absolute path of an artefact; RecordError if it differs from its record."""
        place = record.root if isinstance(record, Keg) else record.path
        if not self.is_intact(record):
            raise RecordError(f"{place} does not match its record")
        return self.path(place)

    def is_intact(self, record: object) -> bool:
        """Return whether an artefact matches its record: no file or link is added, missing or changed."""
        if root := getattr(record, "root", ""):
            folder, links = self.path(root), getattr(record, "links", None)
            return scan_files(folder) == getattr(record, "files", ()) and links in {None, links_below(folder)}
        path, sha256 = getattr(record, "path", ""), getattr(record, "sha256", "")
        return not path or (self.path(path).is_file() and digest.sha256_of(self.path(path)) == sha256)


def scan_files(root: Path) -> tuple[FileRecord, ...]:
    """Return the records of all regular files below `root`, sorted by path; symbolic links are left out."""
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return tuple(_describe(root, path) for path in sorted(found) if not path.is_symlink())


def _describe(root: Path, path: Path) -> FileRecord:
    status = path.stat()
    relative = path.relative_to(root).as_posix()
    return FileRecord(relative, status.st_size, digest.sha256_of(path), status.st_mode & 0o7777)


def links_below(root: Path) -> tuple[tuple[str, str], ...]:
    """Return the symbolic links below `root` with their targets, sorted by path."""
    found = (Path(folder) / name for folder, folders, names in os.walk(root) for name in (*folders, *names))
    links = ((path.relative_to(root).as_posix(), str(path.readlink())) for path in found if path.is_symlink())
    return tuple(sorted(links))
