"""Checks of the installation: the configuration, the home, the components, and the language model's settings."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from stigmer_launcher.config import file, llm
from stigmer_launcher.config.schema import SCHEMA
from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, DoctorContext, Finding, problem
from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import manifest, payload, preflight, versions
from stigmer_launcher.launch import environment
from stigmer_launcher.system import service_manager
from stigmer_launcher.system.places import ANOTHER_DISK, unwritable, unwritable_files

_LITTLE_SPACE = 500 << 20  # bytes; databases and logs will soon need more


def check_config(config: file.Config) -> Iterator[Finding]:
    """Check that only the user can read the configuration, and that every value in it has an effect."""
    if not os.path.exists(config.path):
        yield Finding("file", OK, f"{config.path} does not exist: the defaults are used")
        return
    yield Finding("file", OK, config.path)
    if os.stat(config.path).st_mode & 0o077:
        level = PROBLEM if any(config.text(key) for key in SCHEMA if SCHEMA[key].secret) else WARNING
        remedy = f"run `{shlex.join(('chmod', '600', config.path))}`"
        yield Finding("mode", level, "other users may read or write it", remedy)
    for text in file.unused(config):
        yield Finding("unused", NOTE, text)


def check_home(context: DoctorContext) -> Iterator[Finding]:
    """Check the home directory."""
    home = context.places.home
    if not os.path.lexists(home):
        yield Finding("directory", NOTE, f"{home} does not exist yet; the first start creates it")
        return
    if not os.path.isdir(home):
        yield Finding("directory", PROBLEM, f"{home} is not a directory", f"move it away, {ANOTHER_DISK}")
        return
    is_usable = os.access(home, os.W_OK | os.X_OK)
    yield Finding("directory", OK, home) if is_usable else problem("directory", unwritable(home, home))
    for error in unwritable_files(home, context.places.run, context.places.logs):
        yield problem("files", error)
    try:
        preflight.require_exec(home)
        if is_usable and not os.path.lexists(context.places.bin):
            preflight.require_symlinks(home)
    except LauncherError as error:
        yield problem("mount", error)
    free = preflight.free_space(home)
    text = f"{free >> 20} MB free, logs take {_size_of(context.places.logs) >> 20} MB"
    yield Finding("disk", WARNING if free < _LITTLE_SPACE else OK, text)
    for name in sorted(os.listdir(home)):
        path = os.path.join(home, name)
        if name.startswith("bin.before-"):
            yield Finding("kept", NOTE, f"{name}: the bin of an earlier Stigmer; it is not used")
        elif os.path.isdir(path) and not os.access(path, os.W_OK | os.X_OK):
            yield problem("files", unwritable(path, home))


def check_components(context: DoctorContext) -> Iterator[Finding]:
    """Check each component (unmodified since installation, or `deep`: as released), its override, and the versions."""
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
    restart = service_manager.command_for("restart", context.supervisor_pid, context.snapshot.job)
    for part in keg.payload.components:
        if broken := _flaws(part.files, in_keg):
            yield Finding(part.name, PROBLEM, f"{part.version}: the keg is damaged: {broken}", KegError.remedy)
        elif damaged := _flaws(part.files, modified):
            yield Finding(part.name, WARNING, f"{part.version}: {damaged}", f"run `{restart}`: it replaces them")
        elif not installed:
            yield Finding(part.name, NOTE, f"{part.version}, installed at the next start")
        else:
            how = "compared with its checksums" if context.deep else "unmodified"
            yield Finding(part.name, OK, f"{part.version}, {how}")


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
    for component in (part for part in keg.payload.components if context.environ.get(part.override)):
        try:
            found = environment.executable_of(component, "", context.environ)
            yield Finding(component.name, NOTE, f"{found} runs instead: {component.override} names it")
        except LauncherError as error:
            yield problem(component.name, error)


def _versions(context: DoctorContext, keg: payload.Keg) -> Iterator[Finding]:
    current = versions.current(context.places)
    if current not in ("", keg.id):
        yield Finding("bin", NOTE, f"bin holds {current}; the next start switches to {keg.id}")
    versions.require_bin(context.places, {entry.path for entry in payload.files_of(keg.payload)})
    if os.path.lexists(context.places.bin) and not current:
        yield Finding("bin", NOTE, "bin is not ours; the next start moves it aside and keeps it")
    running = context.snapshot.installed if context.supervisor_pid else ""
    for name in versions.outdated(context.places, (keg.id,)):
        why = "kept for the running server" if name == running else "removed at the next start"
        yield Finding("old version", NOTE, f"{name}, {why}")


def check_model(context: DoctorContext) -> Iterator[Finding]:
    """Check the language model's settings, if a component uses them; say only whether there is an API key."""
    parts = context.keg.payload.components if context.keg else ()
    texts = (text for part in parts for text in (*part.arguments, *dict(part.environment).values()))
    if context.keg and not any("{llm." in text for text in texts):
        return
    model = llm.find_llm(context.environ, context.config)
    yield Finding("provider", OK, f"{model.provider}, {model.model}, {llm.redacted_url(model.base_url)}")
    if model.needs_key:
        remedy = f"set {llm.DEFAULTS[model.provider].variable}; otherwise the start prompts for it"
        yield Finding("key", WARNING, f"missing; {model.provider} needs one", remedy)
    else:
        _, origin = llm.find_settings(context.environ, context.config)["api_key"]
        yield Finding("key", OK, f"present ({origin})" if model.api_key else "not needed")


def _size_of(directory: str) -> int:
    size, paths = 0, (os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names)
    for path in paths:
        with suppress(FileNotFoundError):  # it was rotated meanwhile
            size += os.lstat(path).st_size
    return size
