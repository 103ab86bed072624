"""Checks that the installed components are those of the keg and unmodified; with `deep`, that they are as released."""

import os
from collections.abc import Iterator

from stigmer_launcher.doctor.context import DoctorContext
from stigmer_launcher.doctor.report import NOTE, OK, PROBLEM, WARNING, Finding
from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import manifest, verify, versions
from stigmer_launcher.install.manifest import Keg
from stigmer_launcher.install.payload import Component
from stigmer_launcher.launch import environment

_SECTION = "Components"
_HEALED = "run `stigmer server`: it makes them again"


def check_components(context: DoctorContext) -> tuple[Finding, ...]:
    """Check each component, and the versions that are kept."""
    if context.keg is None:
        return ()
    return (*_installed(context, context.keg), *_overrides(context, context.keg), *_versions(context, context.keg))


def _installed(context: DoctorContext, keg: Keg) -> Iterator[Finding]:
    directory = versions.directory_of(context.places, keg.id)
    installed = manifest.read_manifest(directory) if os.path.isdir(directory) else None
    modified = (
        {}
        if installed is None
        else dict.fromkeys(manifest.modified_files(directory, installed), "modified since installation")
    )
    if context.deep and os.path.isdir(directory):
        modified = _compare(directory, keg)
    in_keg = _compare(os.path.join(keg.libexec, "components"), keg) if context.deep else _missing(keg)
    for component in keg.payload.components:
        damaged = [f"{path} {modified[path]}" for path in _paths(component) if path in modified]
        broken = [f"{path} {in_keg[path]}" for path in _paths(component) if path in in_keg]
        if broken:
            text = f"{component.version}: the keg is damaged: {_few(broken)}"
            yield Finding(_SECTION, component.name, PROBLEM, text, KegError.remedy)
        elif damaged:
            yield Finding(_SECTION, component.name, WARNING, f"{component.version}: {_few(damaged)}", _HEALED)
        elif installed is None:
            yield Finding(_SECTION, component.name, NOTE, f"{component.version}, made at the next start")
        else:
            how = "compared with its checksums" if context.deep else "untouched"
            yield Finding(_SECTION, component.name, OK, f"{component.version}, {len(component.files)} files, {how}")


def _compare(directory: str, keg: Keg) -> dict[str, str]:
    flaws = {e.path: verify.flaw_in_keg(f"{directory}/{e.path}", e) for e in manifest.files_of(keg.payload)}
    return {path: flaw for path, flaw in flaws.items() if flaw}


def _missing(keg: Keg) -> dict[str, str]:
    paths = (entry.path for entry in manifest.files_of(keg.payload))
    return {path: "is missing" for path in paths if manifest.fingerprint(keg.source(path)) is None}


def _overrides(context: DoctorContext, keg: Keg) -> Iterator[Finding]:
    for component in keg.payload.components:
        if not context.environ.get(component.override, ""):
            continue
        try:
            found = environment.executable_of(component, "", context.environ)
            yield Finding(_SECTION, component.name, NOTE, f"{component.override} has {found} run instead")
        except LauncherError as error:
            yield Finding(_SECTION, component.name, PROBLEM, str(error), error.remedy)


def _versions(context: DoctorContext, keg: Keg) -> Iterator[Finding]:
    current = versions.current(context.places)
    if current and current != keg.id:
        text = f"bin holds {current}; the next start switches to {keg.id}"
        yield Finding(_SECTION, "bin", NOTE, text)
    if os.path.lexists(context.places.bin) and not current:
        yield Finding(_SECTION, "bin", NOTE, "bin is not ours; the next start moves it aside and keeps it")
    running = context.snapshot.installed if context.supervisor else ""
    for name in versions.outdated(context.places, (keg.id,)):
        why = "kept for the running server" if name == running else "removed at the next start"
        yield Finding(_SECTION, "old version", NOTE, f"{name}, {why}")


def _paths(component: Component) -> tuple[str, ...]:
    return tuple(entry.path for entry in component.files)


def _few(texts: list[str]) -> str:
    more = f", and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(texts[:3]) + more
