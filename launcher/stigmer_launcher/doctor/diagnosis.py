"""Runs all checks. Each returns findings; a check that fails does not stop the others. Nothing is changed."""

import os
import shlex
from collections.abc import Callable, Mapping

from stigmer_launcher.config import file as configuration
from stigmer_launcher.config import llm
from stigmer_launcher.config.file import Config
from stigmer_launcher.doctor import components, server
from stigmer_launcher.doctor.context import DoctorContext
from stigmer_launcher.doctor.report import NOTE, OK, PROBLEM, WARNING, Finding, Report
from stigmer_launcher.errors import KegError, LauncherError
from stigmer_launcher.install import preflight
from stigmer_launcher.install.manifest import Keg, read_keg
from stigmer_launcher.supervise.state import Instance, cleaning_pid, read_snapshot, supervisor_pid
from stigmer_launcher.system.home import unwritable, unwritable_files
from stigmer_launcher.system.places import Places
from stigmer_launcher.version import NAME, VERSION

_LITTLE_SPACE = 500 << 20  # bytes; databases and logs will soon need more
_OTHERS = 0o077


def diagnose(places: Places, libexec: str, environ: Mapping[str, str], *, deep: bool) -> Report:
    """Check installation, home, server, ports, Temporal and model; `deep` compares the content of every file.

    `libexec` may be empty: then there is no keg to look at, which is a finding too.
    """
    keg, keg_findings = _check_keg(libexec)
    config, config_findings = _check_config(places)
    running = Instance(places.run)
    supervisor, watchdog, lock_findings = _check_locks(running)
    context = DoctorContext(places, environ, keg, config, read_snapshot(running), supervisor, watchdog, deep)
    checks: tuple[Callable[[DoctorContext], tuple[Finding, ...]], ...] = (
        check_home,
        components.check_components,
        server.check_server,
        server.check_databases,
        server.check_ports,
        server.look_at_exposure,
        server.check_temporal,
        check_model,
    )
    found = [*keg_findings, *config_findings, *lock_findings]
    for check in checks:
        try:
            found += check(context)
        except LauncherError as error:
            found.append(Finding("Doctor", "a check failed", PROBLEM, str(error), error.remedy))
        except OSError as error:
            found.append(Finding("Doctor", "a check failed", PROBLEM, f"{error.filename or ''}: {error.strerror}"))
    return Report(tuple(found))


def check_home(context: DoctorContext) -> tuple[Finding, ...]:
    """Check the home directory."""
    home = context.places.home
    if not os.path.isdir(home):
        return (Finding("Home", "directory", NOTE, f"{home} does not exist yet; the first start makes it"),)
    found = [Finding("Home", "directory", OK, home)]
    if not os.access(home, os.W_OK | os.X_OK):
        error = unwritable(home, home)
        found[0] = Finding("Home", "directory", PROBLEM, str(error), error.remedy)
    unwritten = unwritable_files(home, context.places.run, context.places.logs)
    found += [Finding("Home", "files", PROBLEM, str(error), error.remedy) for error in unwritten]
    try:
        preflight.require_exec(home)
    except LauncherError as error:
        found.append(Finding("Home", "mount", PROBLEM, str(error), error.remedy))
    status = os.statvfs(home)
    free = status.f_bavail * status.f_frsize
    level = WARNING if free < _LITTLE_SPACE else OK
    found.append(
        Finding("Home", "disk", level, f"{free >> 20} MB free, logs take {_size_of(context.places.logs) >> 20} MB")
    )
    kept = [name for name in sorted(os.listdir(home)) if name.startswith("bin.before-")]
    found += [Finding("Home", "kept", NOTE, f"{name}: the bin of an earlier Stigmer; it is not used") for name in kept]
    return tuple(found)


def check_model(context: DoctorContext) -> tuple[Finding, ...]:
    """Check the language model's settings; of the API key only whether there is one."""
    model = llm.find_llm(context.environ, context.config)
    found = [Finding("Model", "provider", OK, f"{model.provider}, {model.model}, {_without_userinfo(model.base_url)}")]
    if model.needs_key:
        remedy = f"set {llm.DEFAULTS[model.provider].variable}; without it the start asks"
        found.append(Finding("Model", "key", WARNING, f"missing; {model.provider} needs one", remedy))
    else:
        present = "not needed" if model.key_from == "not needed" else f"present, from {model.key_from}"
        found.append(Finding("Model", "key", OK, present))
    return tuple(found)


def _check_keg(libexec: str) -> tuple[Keg | None, list[Finding]]:
    system = os.uname()
    found = [
        Finding("Stigmer", "version", OK, f"{NAME} {VERSION}"),
        Finding("Stigmer", "system", OK, f"{system.sysname} {system.release}, {system.machine}"),
    ]
    try:
        if not libexec:
            raise KegError("there is none: this launcher runs from a checkout", "set STIGMER_PAYLOAD")
        keg = read_keg(libexec)
        preflight.require_target(keg.payload.target)
    except LauncherError as error:
        return None, [*found, Finding("Stigmer", "keg", PROBLEM, str(error), error.remedy)]
    return keg, [*found, Finding("Stigmer", "keg", OK, f"{libexec} ({keg.id})")]


def _check_locks(running: Instance) -> tuple[int, int, list[Finding]]:
    """Return the pids of the supervisor, and of a watchdog that cleans up after one."""
    try:
        return supervisor_pid(running), cleaning_pid(running), []
    except LauncherError as error:
        return 0, 0, [Finding("Server", "lock", PROBLEM, str(error), error.remedy)]


def _check_config(places: Places) -> tuple[Config, list[Finding]]:
    name = "file"
    try:
        config = configuration.read_config(places.config)
    except LauncherError as error:
        return Config(places.config, {}), [Finding("Configuration", name, PROBLEM, str(error), error.remedy)]
    if not os.path.exists(places.config):
        return config, [Finding("Configuration", name, OK, f"{places.config} does not exist: the defaults are used")]
    found = [Finding("Configuration", name, OK, places.config)]
    if os.stat(places.config).st_mode & _OTHERS:
        text, remedy = "other users may read or write it", f"run `{shlex.join(('chmod', '600', places.config))}`"
        holds_secret = any(
            row.value for row in configuration.list_values(config) if row.key.endswith(("api_key", "token"))
        )
        found.append(Finding("Configuration", "mode", PROBLEM if holds_secret else WARNING, text, remedy))
    found += [Finding("Configuration", "unused", NOTE, text) for text in configuration.unused(config)]
    return config, found


def _without_userinfo(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}".partition("?")[0]


def _size_of(directory: str) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        total += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return total
