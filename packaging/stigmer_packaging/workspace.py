"""Where artefacts and records live, and the one way they are put there: complete, by a rename, or not at all."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cattrs

from stigmer_packaging.errors import RecordError
from stigmer_packaging.records import FileRecord
from stigmer_packaging.tools import digest

Record = TypeVar("Record")
_CONVERTER = cattrs.Converter(forbid_extra_keys=True)


@dataclass(frozen=True)
class Workspace:
    """`root` holds this checkout's artefacts and records, `cache` what any checkout may share (outside the checkout)."""

    root: Path
    cache: Path

    def path(self, relative: str) -> Path:
        """Give the absolute path of an artefact."""
        return self.root / relative

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a fresh directory on the workspace's file system, gone afterwards whatever happens."""
        parent = self.root / "staging"
        parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def publish(self, staged: Path, relative: str) -> Path:
        """Move a finished file or directory to its place by one rename, replacing what was there."""
        place = self.path(relative)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            with self.staging() as aside:
                place.rename(aside / "old")
                staged.rename(place)
        else:
            staged.replace(place)
        return place

    def write_record(self, name: str, record: object) -> Path:
        """Write a record as `records/NAME.json`, atomically. Names are paths such as `obtain/linux-amd64/temporal`."""
        text = json.dumps(_CONVERTER.unstructure(record), indent=2, sort_keys=True) + "\n"
        with self.staging() as staged:
            (staged / "record").write_text(text, encoding="utf-8")
            return self.publish(staged / "record", f"records/{name}.json")

    def read_record(self, name: str, kind: type[Record]) -> Record:
        """Read a record; RecordError when it is missing or not of that kind."""
        path = self.path(f"records/{name}.json")
        try:
            return _CONVERTER.structure(json.loads(path.read_text(encoding="utf-8")), kind)
        except FileNotFoundError:
            raise RecordError(f"there is no record {name}") from None
        except (ValueError, cattrs.BaseValidationError) as error:
            raise RecordError(f"the record {name} is damaged: {error}") from error

    def current(self, name: str, kind: type[Record], made_from: str) -> Record | None:
        """Give the record if it was made from the same inputs and its files are still what it says, else None."""
        with contextlib.suppress(RecordError):
            record = self.read_record(name, kind)
            if getattr(record, "made_from", None) == made_from and self._is_whole(record):
                return record
        return None

    def _is_whole(self, record: object) -> bool:
        if root := getattr(record, "root", ""):
            entries: tuple[FileRecord, ...] = getattr(record, "files", ())
            return all(_matches(self.path(root) / entry.path, entry.size, entry.sha256) for entry in entries)
        path, sha256 = getattr(record, "path", ""), getattr(record, "sha256", "")
        return not path or _matches(self.path(path), None, sha256)


def _matches(path: Path, size: int | None, sha256: str) -> bool:
    if not path.is_file() or (size is not None and path.stat().st_size != size):
        return False
    return digest.sha256_of(path) == sha256


def scan_files(root: Path) -> tuple[FileRecord, ...]:
    """Describe every regular file below `root`, sorted by path; symbolic links are left out."""
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return tuple(_describe(root, path) for path in sorted(found) if not path.is_symlink())


def _describe(root: Path, path: Path) -> FileRecord:
    status = path.stat()
    relative = path.relative_to(root).as_posix()
    return FileRecord(relative, status.st_size, digest.sha256_of(path), status.st_mode & 0o7777)
