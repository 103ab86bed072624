"""The trial of a frozen service: against a Temporal of its own platform, where its Python runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stigmer_packaging.errors import CommandError, GateError
from stigmer_packaging.manifest_records import FreezeTable
from stigmer_packaging.tools import command, probes
from stigmer_packaging.tools.emulation import NATIVE, SLOWDOWN, Runner
from stigmer_packaging.tools.probes import ServiceProbe
from stigmer_packaging.tools.python import Interpreter, plain_environment
from stigmer_packaging.tools.temporal import temporal_server

SECONDS = 120
_REMEDY = "name another owner in `owners` of the component's `freeze` in packaging/manifest.yaml"


def runner_of(interpreter: Interpreter) -> Runner:
    """Run what an interpreter froze as it is, or where that is emulated."""
    return Runner(interpreter.prefix, SLOWDOWN) if interpreter.emulated else NATIVE


def try_imports(probe: Path, modules: Mapping[str, Sequence[str]], *, env: Mapping[str, str], runner: Runner) -> None:
    """Import modules, by the distributions that installed them, inside a bundle; GateError when one cannot be.

    The frozen service is a foreign program that cannot be asked to import something. `probe` is a second program with
    the same modules, made for this; it is removed, and not shipped.
    """
    names = sorted(module for each in modules.values() for module in each)
    try:
        command.run([*runner.prefix, str(probe), *names], env=plain_environment(env), seconds=SECONDS * runner.slowdown)
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
    temporal: Path,
    home: Path,
    env: Mapping[str, str],
    runner: Runner,
) -> None:
    """Put a frozen service through everything a freeze asks of it, in a `home` that does not exist; GateError if it fails.

    `temporal` is the Temporal CLI for the service's platform.
    """
    home.mkdir()
    if table.selftest:
        probes.probe_selftest(program, table.selftest, folder=home, env=env, runner=runner)
    probes.probe_without_temporal(program, probe, folder=home, env=env, runner=runner)
    with temporal_server(temporal, folder=home, env=plain_environment(env), runner=runner) as address:
        probes.probe_with_temporal(program, probe, address=address, folder=home, env=env, runner=runner)
        if asked := table.workflow_test:
            probes.probe_workflow(program, asked, probe, address=address, folder=home, env=env, runner=runner)
