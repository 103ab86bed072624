"""Checks of the components: unmodified since installation, in the home and in the keg; with `deep`, as released."""

import os
from collections.abc import Iterator, Mapping, Sequence

from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, DoctorContext, Finding, problem
from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import manifest, payload, versions
from stigmer_launcher.launch import environment


def check_components(context: DoctorContext) -> Iterator[Finding]:
    """Check each component, its override, and the installed versions."""
    if context.keg:
        yield from _installed(context, context.keg)
        yield from _overrides(context, context.keg)
        yield from _versions(context, context.keg)


def _installed(context: DoctorContext, keg: payload.Keg) -> Iterator[Finding]:
    directory = versions.directory_of(context.places, keg.id)
    installed = manifest.read_manifest(directory)
    if context.deep:
        modified = _compare(keg, directory, deep=True) if os.path.isdir(directory) else {}
    else:
        changed = manifest.modified_files(directory, installed) if installed else ()
        modified = dict.fromkeys(changed, "modified since installation")
    in_keg = _compare(keg, f"{keg.libexec}/components", deep=context.deep)
    for part in keg.payload.components:
        if broken := _flaws(part.files, in_keg):
            yield Finding(part.name, PROBLEM, f"{part.version}: the keg is damaged: {broken}", KegError.remedy)
        elif damaged := _flaws(part.files, modified):
            yield Finding(part.name, WARNING, f"{part.version}: {damaged}", "run `stigmer server`: it replaces them")
        elif not installed:
            yield Finding(part.name, NOTE, f"{part.version}, installed at the next start")
        else:
            how = "compared with its checksums" if context.deep else "unmodified"
            yield Finding(part.name, OK, f"{part.version}, {len(part.files)} files, {how}")


def _flaws(files: Sequence[payload.FileEntry], flaws: Mapping[str, str]) -> str:
    texts = [f"{entry.path} {flaws[entry.path]}" for entry in files if flaws.get(entry.path)]
    return ", ".join(texts[:3]) + (f", and {len(texts) - 3} more" if len(texts) > 3 else "")


def _compare(keg: payload.Keg, directory: str, *, deep: bool) -> dict[str, str]:
    """Return each file's flaw compared with its release, or with the keg's file if Homebrew has relocated that."""
    flaws = {}
    for entry in payload.files_of(keg.payload):
        path, source = f"{directory}/{entry.path}", keg.source(entry.path)
        flaw = manifest.flaw(path, entry, deep=deep)
        if flaw and manifest.is_relocated(source):
            poured = entry._replace(size=os.path.getsize(source), sha256=manifest.sha256_of(source))
            flaw = manifest.flaw(path, poured, deep=deep)
        flaws[entry.path] = flaw
    return flaws


def _overrides(context: DoctorContext, keg: payload.Keg) -> Iterator[Finding]:
    for component in keg.payload.components:
        if not context.environ.get(component.override, ""):
            continue
        try:
            found = environment.executable_of(component, "", context.environ)
            yield Finding(component.name, NOTE, f"{found} runs instead: {component.override} names it")
        except LauncherError as error:
            yield problem(component.name, error)


def _versions(context: DoctorContext, keg: payload.Keg) -> Iterator[Finding]:
    current = versions.current(context.places)
    if current not in ("", keg.id):
        yield Finding("bin", NOTE, f"bin holds {current}; the next start switches to {keg.id}")
    if os.path.lexists(context.places.bin) and not current:
        yield Finding("bin", NOTE, "bin is not ours; the next start moves it aside and keeps it")
    running = context.snapshot.installed if context.supervisor_pid else ""
    for name in versions.outdated(context.places, (keg.id,)):
        why = "kept for the running server" if name == running else "removed at the next start"
        yield Finding("old version", NOTE, f"{name}, {why}")
