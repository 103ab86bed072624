"""Runs all checks; they change nothing. Each yields findings, and one that fails does not stop the others."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from stigmer_launcher.config import file
from stigmer_launcher.doctor import installation, server
from stigmer_launcher.doctor.findings import OK, PROBLEM, DoctorContext, Finding, problem
from stigmer_launcher.errors import LauncherError
from stigmer_launcher.install import payload, preflight
from stigmer_launcher.supervise.state import Instance, cleaning_pid, living_snapshot, read_snapshot, supervisor_pid
from stigmer_launcher.system.places import find_places, installed_libexec
from stigmer_launcher.version import NAME, VERSION

# The checks of each section of the report; `diagnose` itself reads the keg and the configuration.
_CHECKS: dict[str, tuple[Callable[[DoctorContext], Iterator[Finding]], ...]] = {
    "Stigmer": (),
    "Configuration": (),
    "Home": (installation.check_home,),
    "Components": (installation.check_components,),
    "Server": (server.check_server, server.check_databases),
    "Ports": (server.check_loopback, server.check_ports, server.check_exposure),
    "Temporal": (server.check_temporal,),
    "Model": (installation.check_model,),
}


def diagnose(environ: Mapping[str, str], *, deep: bool) -> dict[str, list[Finding]]:
    """Run all checks and return the findings by section; `deep` compares the content of every file."""
    places = find_places(environ)
    instance = Instance(places.run)
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
        report["Configuration"].extend(installation.check_config(config))
    with _noting(report["Server"], "lock"):
        pids = (supervisor_pid(instance), cleaning_pid(instance))
    snapshot = living_snapshot(instance) if pids[0] else read_snapshot(instance)
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
