"""Delivers a release to a folder: bottles, SBOMs, source archive, formula, `release.json` and checksums."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from stigmer_packaging.lib.cache import write_atomically
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.manifest.model import Product
from stigmer_packaging.records.model import AuditReport, BuiltPart, ReleaseFile, VerificationReport
from stigmer_packaging.records.release import NAME, Artefact, Release, mark_levels, read_description, read_release
from stigmer_packaging.records.text import render_record
from stigmer_packaging.records.workspace import Workspace

CHECKSUMS = "SHA256SUMS"


def deliver(
    records: Mapping[str, Any], product: Product, workspace: Workspace, folder: Path, *, commit: str = ""
) -> Release:
    """Copy the files of a release into `folder`, each atomically; `release.json`, which lists them, is written last.

    `records` are by name; `commit` is what they were built from. Files of a previous release in the folder are removed,
    unless this one has them, too. RecordError if a file in the workspace does not match its record.
    """
    reports = {name: record for name, record in records.items() if isinstance(record, VerificationReport)}
    files = {one.path.removeprefix("dist/"): one for one in records.values() if isinstance(one, ReleaseFile)}
    artefacts = tuple(
        Artefact(one.kind, name, one.size, one.sha256, one.target, one.tag, one.rebuild)
        for name, one in sorted(files.items())
    )
    audits = tuple(record for record in records.values() if isinstance(record, AuditReport))
    parts = (record for record in records.values() if isinstance(record, BuiltPart) and record.omitted)
    omitted = {f"{part.target}/{part.component}": part.omitted for part in parts}
    release = Release(product, artefacts, audits, tuple(reports.values()), omitted, commit=commit)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for name in _artefact_names(folder) - files.keys():
            (folder / name).unlink(missing_ok=True)
        for name, file in files.items():
            _copy(workspace.verified_path(file), folder / name)
        _copy_evidence(reports, workspace, folder)
        write_atomically(folder / CHECKSUMS, release.checksums())
        return _write(release, folder)


def _artefact_names(folder: Path) -> set[str]:
    """Return the names of the files of the release in a folder; empty if there is none, or none that can be read."""
    try:
        found = read_description(folder)
    except (OSError, RecordError):
        return set()
    paths = (PurePosixPath(artefact.name) for artefact in found.artefacts)
    return {str(path) for path in paths if not path.is_absolute() and ".." not in path.parts}


def deliver_verifications(reports: Mapping[str, VerificationReport], workspace: Workspace, folder: Path) -> Release:
    """Add reports, by the names of their records, to a folder's release; each replaces an earlier one.

    An earlier report is one with the same level, guest and bottle. Logs, records as JSON and JUnit XML are copied into
    `verification/`. RecordError as in read_release.
    """
    with _locked(folder):
        release = read_release(folder)
        _copy_evidence(reports, workspace, folder)
        return _add(reports.values(), release, folder)


def _copy_evidence(names: Iterable[str], workspace: Workspace, folder: Path) -> None:
    for name in names:
        flat = name.removeprefix("verify/").replace("/", "-")
        copies = {f"records/{name}.json": ".json", f"{name}.xml": ".xml", f"{name}.log": ".log"}
        for source, suffix in copies.items():
            if workspace.path(source).exists():  # not every level has a log
                _copy(workspace.path(source), folder / "verification" / f"{flat}{suffix}")


def add_verifications(copy: Path, folder: Path) -> Release:
    """Add the verifications of a copy of a folder's release on another machine: its reports, and `verification/`.

    RecordError if it is a copy of another release, or as in read_release.
    """
    with _locked(folder):
        release, verified = read_release(folder), read_description(copy)
        if {one.sha256 for one in verified.of_programs()} != {one.sha256 for one in release.of_programs()}:
            raise RecordError(f"{copy / NAME} describes another release than {folder / NAME}", "verify the same files")
        for file in sorted((copy / "verification").glob("*")):
            _copy(file, folder / "verification" / file.name)
        return _add(verified.verifications, release, folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a release's folder, so that no process updates an outdated `release.json`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _add(reports: Iterable[VerificationReport], release: Release, folder: Path) -> Release:
    known = {(one.level, one.guest, one.bottle_sha256): one for one in (*release.verifications, *reports)}
    return _write(replace(release, verifications=tuple(known.values())), folder)


def _write(release: Release, folder: Path) -> Release:
    marked = mark_levels(release)
    write_atomically(folder / NAME, render_record(marked))
    return marked


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    shutil.copy(source, part)
    part.replace(place)
