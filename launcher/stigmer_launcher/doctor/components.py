"""Checks that the installed components are those of the keg and unmodified; with `deep`, that they are as released."""

import os
from collections.abc import Iterator, Mapping, Sequence

from stigmer_launcher.doctor.context import DoctorContext
from stigmer_launcher.doctor.report import NOTE, OK, PROBLEM, WARNING, Finding, problem
from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import manifest, verify, versions
from stigmer_launcher.install.manifest import Keg
from stigmer_launcher.install.payload import Component, FileEntry
from stigmer_launcher.launch import environment

_SECTION = "Components"
_HEALED = "run `stigmer server`: it makes them again"


def check_components(context: DoctorContext) -> Iterator[Finding]:
    """Check each component, and the versions that are kept."""
    if context.keg:
        yield from _installed(context, context.keg)
        yield from _overrides(context, context.keg)
        yield from _versions(context, context.keg)


def _installed(context: DoctorContext, keg: Keg) -> Iterator[Finding]:
    directory = versions.directory_of(context.places, keg.id)
    installed = manifest.read_manifest(directory) if os.path.isdir(directory) else None
    if context.deep:
        modified = _compare(directory, keg) if os.path.isdir(directory) else {}
        in_keg = _compare(f"{keg.libexec}/components", keg)
    else:
        changed = manifest.modified_files(directory, installed) if installed else ()
        modified = dict.fromkeys(changed, "modified since installation")
        in_keg = {
            entry.path: "is missing"
            for entry in manifest.files_of(keg.payload)
            if manifest.fingerprint(keg.source(entry.path)) is None
        }
    for component in keg.payload.components:
        yield _component(component, modified, in_keg, installed=bool(installed), deep=context.deep)


def _component(
    component: Component, modified: Mapping[str, str], in_keg: Mapping[str, str], *, installed: bool, deep: bool
) -> Finding:
    name, version, files = component.name, component.version, component.files
    if broken := _flaws(files, in_keg):
        return Finding(_SECTION, name, PROBLEM, f"{version}: the keg is damaged: {broken}", KegError.remedy)
    if damaged := _flaws(files, modified):
        return Finding(_SECTION, name, WARNING, f"{version}: {damaged}", _HEALED)
    if not installed:
        return Finding(_SECTION, name, NOTE, f"{version}, made at the next start")
    how = "compared with its checksums" if deep else "untouched"
    return Finding(_SECTION, name, OK, f"{version}, {len(files)} files, {how}")


def _flaws(files: Sequence[FileEntry], flaws: Mapping[str, str]) -> str:
    """Name the first files that have a flaw."""
    texts = [f"{entry.path} {flaws[entry.path]}" for entry in files if entry.path in flaws]
    return ", ".join(texts[:3]) + (f", and {len(texts) - 3} more" if len(texts) > 3 else "")


def _compare(directory: str, keg: Keg) -> dict[str, str]:
    flaws = {e.path: verify.flaw(f"{directory}/{e.path}", e) for e in manifest.files_of(keg.payload)}
    return {path: flaw for path, flaw in flaws.items() if flaw and not verify.is_relocated(f"{directory}/{path}")}


def _overrides(context: DoctorContext, keg: Keg) -> Iterator[Finding]:
    for component in keg.payload.components:
        if not context.environ.get(component.override, ""):
            continue
        try:
            found = environment.executable_of(component, "", context.environ)
            yield Finding(_SECTION, component.name, NOTE, f"{component.override} has {found} run instead")
        except LauncherError as error:
            yield problem(_SECTION, component.name, error)


def _versions(context: DoctorContext, keg: Keg) -> Iterator[Finding]:
    current = versions.current(context.places)
    if current and current != keg.id:
        yield Finding(_SECTION, "bin", NOTE, f"bin holds {current}; the next start switches to {keg.id}")
    if os.path.lexists(context.places.bin) and not current:
        yield Finding(_SECTION, "bin", NOTE, "bin is not ours; the next start moves it aside and keeps it")
    running = context.snapshot.installed if context.supervisor else ""
    for name in versions.outdated(context.places, (keg.id,)):
        why = "kept for the running server" if name == running else "removed at the next start"
        yield Finding(_SECTION, "old version", NOTE, f"{name}, {why}")
