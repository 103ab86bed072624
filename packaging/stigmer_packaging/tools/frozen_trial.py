"""The trial of a frozen service: against a Temporal of its own platform, where its Python runs."""

from collections.abc import Mapping
from pathlib import Path

from stigmer_packaging.tools import probes
from stigmer_packaging.tools.emulation import NATIVE, SLOWDOWN, Runner
from stigmer_packaging.tools.freeze_table import FreezeTable
from stigmer_packaging.tools.probes import ServiceProbe
from stigmer_packaging.tools.python import Interpreter, plain_environment
from stigmer_packaging.tools.temporal import temporal_server


def runner_of(interpreter: Interpreter) -> Runner:
    """Run what an interpreter froze as it is, or where that is emulated."""
    return Runner(interpreter.prefix, SLOWDOWN) if interpreter.emulated else NATIVE


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
