"""Runs all checks; they change nothing. Each yields findings, and one that fails does not stop the others."""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from stigmer_launcher.config import file, llm
from stigmer_launcher.config.schema import SCHEMA
from stigmer_launcher.doctor import server
from stigmer_launcher.doctor.findings import NOTE, OK, PROBLEM, WARNING, DoctorContext, Finding, problem
from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import manifest, payload, preflight, versions
from stigmer_launcher.launch import environment
from stigmer_launcher.supervise.state import Instance, cleaning_pid, living_snapshot, read_snapshot, supervisor_pid
from stigmer_launcher.system.places import ANOTHER_DISK, find_places, installed_libexec, unwritable, unwritable_files
from stigmer_launcher.version import NAME, VERSION

_LITTLE_SPACE = 500 << 20  # bytes; databases and logs will soon need more


def diagnose(environ: Mapping[str, str], *, deep: bool) -> dict[str, list[Finding]]:
    """Run all checks and return the findings by section; `deep` compares the content of every file."""
    places = find_places(environ)
    running = Instance(places.run)
    system = os.uname()
    report: dict[str, list[Finding]] = {section: [] for section in _CHECKS}
    report["Stigmer"] = [
        Finding("version", OK, f"{NAME} {VERSION}"),
        Finding("system", OK, f"{system.sysname} {system.release}, {system.machine}"),
    ]
    keg, config, pids = None, file.Config(places.config, {}), (0, 0)
    with _noting(report["Stigmer"], "keg"):
        keg = payload.read_keg(installed_libexec(environ))
        preflight.require_target(keg.payload.target)
        report["Stigmer"].append(Finding("keg", OK, f"{keg.libexec} ({keg.id})"))
    with _noting(report["Configuration"], "file"):
        config = file.read_config(places.config)
        report["Configuration"].extend(check_config(config))
    with _noting(report["Server"], "lock"):
        pids = (supervisor_pid(running), cleaning_pid(running))
    snapshot = living_snapshot(running) if pids[0] else read_snapshot(running)
    context = DoctorContext(places, environ, keg, config, snapshot, *pids, deep)
    for section, checks in _CHECKS.items():
        for check in checks:
            with _noting(report[section], "a check failed"):
                report[section].extend(check(context))
    return {section: [*dict.fromkeys(found)] for section, found in report.items() if found}


@contextmanager
def _noting(found: list[Finding], name: str) -> Iterator[None]:
    """Turn an error of the block into a finding, so that the next checks run."""
    try:
        yield
    except LauncherError as error:
        found.append(problem(name, error))
    except OSError as error:
        found.append(Finding(name, PROBLEM, f"{error.filename or ''}: {error.strerror or error}"))


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


def check_model(context: DoctorContext) -> Iterator[Finding]:
    """Check the language model's settings, if a component is told of them; show of the API key only whether there is one."""
    if context.keg and "{llm." not in repr(context.keg.payload.components):
        return
    model = llm.find_llm(context.environ, context.config)
    yield Finding("provider", OK, f"{model.provider}, {model.model}, {llm.redacted_url(model.base_url)}")
    if model.needs_key:
        remedy = f"set {llm.DEFAULTS[model.provider].variable}; without it the start asks"
        yield Finding("key", WARNING, f"missing; {model.provider} needs one", remedy)
    else:
        _, origin = llm.find_settings(context.environ, context.config)["api_key"]
        yield Finding("key", OK, f"present ({origin})" if model.api_key else "not needed")


# The checks of each section of the report; `diagnose` itself reads the keg and the configuration.
_CHECKS: dict[str, tuple[Callable[[DoctorContext], Iterator[Finding]], ...]] = {
    "Stigmer": (),
    "Configuration": (),
    "Home": (check_home,),
    "Components": (check_components,),
    "Server": (server.check_server, server.check_databases),
    "Ports": (server.check_loopback, server.check_ports, server.check_exposure),
    "Temporal": (server.check_temporal,),
    "Model": (check_model,),
}


def _size_of(directory: str) -> int:
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):  # it was rotated meanwhile
                size += os.lstat(os.path.join(folder, name)).st_size
    return size
