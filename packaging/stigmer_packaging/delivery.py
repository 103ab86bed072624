"""Puts a release's results where people look for them: the bottles, the source archive, the formula, their checksums."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stigmer_packaging.records import Bottle, Formula, SourceArchive
from stigmer_packaging.workspace import Workspace

CHECKSUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Delivered:
    """One file in the delivery folder: its path there, size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str


def deliver(records: Iterable[Any], workspace: Workspace, folder: Path) -> tuple[Delivered, ...]:
    """Copy what is released into `folder`, each file whole or not at all, and write `SHA256SUMS` last."""
    places = {_place(record): record for record in records if isinstance(record, Bottle | SourceArchive | Formula)}
    delivered = []
    for relative, record in sorted(places.items()):
        source = workspace.path(record.path)
        _copy(source, folder / relative)
        delivered.append(Delivered(relative, source.stat().st_size, record.sha256))
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in delivered)
    with workspace.staging() as staged:
        (staged / CHECKSUMS).write_text(lines, encoding="utf-8")
        _copy(staged / CHECKSUMS, folder / CHECKSUMS)
    return tuple(delivered)


def _place(record: Bottle | SourceArchive | Formula) -> str:
    name = Path(record.path).name
    return f"Formula/{name}" if isinstance(record, Formula) else name


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    shutil.copyfile(source, part)
    part.replace(place)
