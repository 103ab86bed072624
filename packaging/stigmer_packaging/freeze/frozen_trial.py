"""The trial of a frozen service: against a Temporal of its own platform, where its Python runs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from stigmer_packaging.freeze import probes
from stigmer_packaging.freeze.probes import ServiceProbe
from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, GateError
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.lib.ports import free_port
from stigmer_packaging.manifest.model import FreezeTable
from stigmer_packaging.sources.freeze_table import FreezeFacts

SECONDS = 120
_TEMPORAL_SECONDS = 60
_SERVE = ("server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "error")
_SERVING = "Server:"  # the first line of what it prints once it serves; Temporal CLI 1.x
_NO_TEMPORAL = "give packaging/manifest.yaml a component whose readiness is of the kind temporal"
_REMEDY = "name another owner in `owners` of the component's `freeze` in packaging/manifest.yaml"


def try_imports(probe: Path, modules: Mapping[str, Sequence[str]], *, env: Mapping[str, str]) -> None:
    """Import modules, by the distributions that installed them, inside a bundle; GateError when one cannot be.

    The frozen service is a foreign program that cannot be asked to import something. `probe` is a second program with
    the same modules, made for this; it is removed, and not shipped.
    """
    names = sorted(module for each in modules.values() for module in each)
    try:
        command.run([str(probe), *names], env=plain_environment(env), seconds=SECONDS)
    except CommandError as error:
        raise GateError(
            f"a distribution whose module has another owner cannot be imported: {error}", _REMEDY
        ) from error
    finally:
        probe.unlink()


def try_service(
    program: Path,
    table: FreezeTable,
    probe: ServiceProbe,
    *,
    temporal: Path | None,
    home: Path,
    env: Mapping[str, str],
) -> None:
    """Put a frozen service through everything a freeze asks of it, in a `home` that does not exist; GateError if it fails.

    `temporal` is the Temporal CLI for the service's platform, which only a service that needs Temporal is tried with.
    """
    home.mkdir()
    if table.selftest:
        probes.probe_selftest(program, table.selftest, folder=home, env=env)
    if not probe.temporal:
        probes.probe_start_and_stop(program, probe, folder=home, env=env)
        return
    if temporal is None:
        raise GateError("the service needs Temporal, and nothing here is a Temporal to try it with", _NO_TEMPORAL)
    probes.probe_without_temporal(program, probe, folder=home, env=env)
    with temporal_server(temporal, folder=home, env=plain_environment(env)) as address:
        probes.probe_start_and_stop(program, probe, address=address, folder=home, env=env)
        if asked := table.workflow_test:
            probes.probe_workflow(program, asked, probe, address=address, folder=home, env=env)


@contextmanager
def temporal_server(program: Path, *, folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Serve from memory and give the address, `127.0.0.1:PORT`; CommandError when it does not come up."""
    address = f"127.0.0.1:{free_port()}"
    words = [str(program), *_SERVE, "--port", address.rpartition(":")[2]]
    log = folder / "temporal.log"
    with command.running(words, env=env, cwd=folder, log=log) as server:
        server.wait_for(_SERVING, seconds=_TEMPORAL_SECONDS)
        yield address


def explain_excludes(error: GateError, facts: FreezeFacts) -> GateError:
    """Add to the failure of a trial, if a module is missing because it is excluded, by whom it is and the way out."""
    missing = re.findall(r"No module named '([\w.]+)'", str(error))
    excludes = facts.table.excludes
    blamed = [name for name in excludes if any(f"{module}.".startswith(f"{name}.") for module in missing)]
    if not blamed:
        return error
    kept = ", ".join(name for name in excludes if name not in blamed)
    return GateError(
        f"{error}\n{' and '.join(blamed)} is missing because {facts.origins['excludes']} lists it in excludes",
        "give the excludes without it in packaging/manifest.yaml, in the component's source:"
        f"\n      freeze: {{excludes: [{kept}]}}",
    )
