"""Tests frozen programs.

A launcher must print its version; a service must start and stop, with a Temporal of its platform if it needs one. A
service that fails because Temporal is missing has imported everything it needs to connect; one that fails earlier has
not.
"""

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, GateError
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.lib.loopback import free_port, is_open
from stigmer_packaging.manifest.model import FreezeTable
from stigmer_packaging.sources.freeze_table import FreezeSettings
from stigmer_packaging.sources.placeholders import fill, free_ports, placeholder_values, unused_address

SECONDS = 120
_TEMPORAL_SECONDS = 60
_SERVE = ("server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "error")
_SERVING = "Server:"  # start of the first line that it prints when it is ready; Temporal CLI 1.x
_NO_TEMPORAL = "add to the manifest a component whose readiness is of the kind temporal"
_OWNERS_REMEDY = "name another owner in `owners` of the component's `freeze` in the manifest"
_SERVICE_REMEDY = (
    "fix the service: it is tested without the others, must become ready, and must exit on SIGTERM; "
    "a module that it imports by name belongs in `hidden_imports` of its `freeze`"
)
_CONNECTION = re.compile(
    r"connection refused|connection error|tcp connect error|failed client connect|failed to connect|connect call failed",
    re.IGNORECASE,
)
"""Output of a service when nothing listens at Temporal's address: an error message of its SDK or of the system."""

_FINALIZING = "Python runtime state: finalizing"
"""Output of CPython when it crashes during finalization. Source: Python/pylifecycle.c."""

_BROKEN = re.compile(
    r"ModuleNotFoundError|ImportError|No module named|cannot import name|cannot open shared object file"
    r"|PackageNotFoundError|undefined symbol|Failed to load dyn\w* ?lib\w*|dynlib/dll .* was not found"
)


@dataclass(frozen=True)
class ServiceProbe:
    """How to test a service: arguments and environment, with `{home}`, `{port.NAME}` and `{temporal.address}` in them.

    `ready` is the text it prints when it is ready; if empty, it is ready when its port named `port` is open. `grace` is
    the time in which it must stop, in seconds. `temporal` is whether it needs Temporal.
    """

    environment: Mapping[str, str]
    ready: str
    grace: float
    arguments: tuple[str, ...] = ()
    port: str = ""
    temporal: bool = True


def check_answers(program: Path, name: str, version: str, *, env: Mapping[str, str]) -> None:
    """Raise GateError unless the frozen launcher prints its name and version on `--version`, its name on `--help`."""
    for option, expected in (("--version", f"{name} {version}"), ("--help", name)):
        result = command.run([str(program), option], env=plain_environment(env), seconds=60, check=False)
        if result.code != 0 or not result.stdout.startswith(expected):
            output = result.stdout + result.stderr
            wanted = f"expected 0 and the output {expected}"
            raise GateError(f"{option} of the frozen launcher exited with code {result.code}; {wanted}\n{output}")


def try_imports(probe: Path, modules: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Import modules inside a bundle; GateError if one cannot be imported.

    The frozen service has no option to import a given module. `probe` is a second program with the same modules, built
    for this purpose; it is removed afterwards, not shipped.
    """
    try:
        message = "a distribution whose module has another owner cannot be imported"
        with command.translate_failure(GateError, message, _OWNERS_REMEDY):
            command.run([probe, *modules], env=plain_environment(env), seconds=SECONDS)
    finally:
        probe.unlink()


@dataclass(frozen=True)
class Trial:
    """A frozen service under test: its program, how to test it, and a folder that is its home."""

    program: Path
    probe: ServiceProbe
    folder: Path
    env: Mapping[str, str]

    def without_temporal(self) -> None:
        """Start the service with nothing listening at Temporal's address; GateError unless it fails because of that."""
        argv, env, _ = self._start(unused_address(), self.probe.arguments)
        with command.translate_failure(GateError, "started without Temporal, the service does not exit"):
            result = command.run(argv, env=env, cwd=self.folder, seconds=SECONDS, check=False)
        check_failure(result.code, result.stdout + result.stderr)

    def start_and_stop(self, address: str = "") -> None:
        """Start the service; GateError unless it becomes ready, and exits with code 0 on SIGTERM.

        A service that does not need Temporal may also be killed by the signal; a worker must finish what it has begun.
        `address` is that of a live Temporal; if it is empty, nothing listens at the address that the service gets. A
        crash during the interpreter's finalization counts as a stop: a thread of an extension, such as Temporal's, may
        outlive the program, frozen or not.
        """
        situation = "with a live Temporal the service" if address else "the service"
        argv, env, port = self._start(address or unused_address(), self.probe.arguments)
        with (
            command.translate_failure(GateError, f"{situation} does not work", _SERVICE_REMEDY),
            command.running(argv, env=env, cwd=self.folder, log=self.folder / "service.log") as service,
        ):
            if self.probe.ready:
                service.wait_for(self.probe.ready, seconds=SECONDS)
            else:
                service.wait_until(lambda: is_open(port), f"open its port {self.probe.port}", seconds=SECONDS)
            code, output = service.stop(seconds=self.probe.grace), service.output
        accepted = (0,) if self.probe.temporal else (0, -signal.SIGTERM)
        if not (code in accepted or _FINALIZING in output) or _BROKEN.search(output):
            raise GateError(f"{situation} ended with exit code {code}\n{_tail(output)}", _SERVICE_REMEDY)

    def workflow(self, arguments: tuple[str, ...], address: str) -> None:
        """Run the service's workflow test against a live Temporal; GateError unless it exits with code 0.

        A worker's sandbox imports modules by name at its first workflow: a bundle without them becomes ready
        nevertheless.
        """
        argv, env, _ = self._start(address, arguments)
        try:
            command.run(argv, env=env, cwd=self.folder, seconds=SECONDS)
        except CommandError as error:
            missing = next((line for line in error.output.splitlines() if _BROKEN.search(line)), "see its output")
            raise GateError(f"the frozen service cannot run a workflow: {missing.strip()}\n{error}") from error

    def selftest(self, arguments: tuple[str, ...]) -> None:
        """Run the service's selftest; GateError unless it exits with code 0."""
        with command.translate_failure(GateError, "the frozen service fails its selftest"):
            command.run([self.program, *arguments], env=self._isolated, cwd=self.folder, seconds=SECONDS)

    def _start(self, address: str, arguments: tuple[str, ...]) -> tuple[list[str], dict[str, str], int]:
        """Return command, environment and port of a start, with placeholders filled in for home, ports and Temporal."""
        texts = (*arguments, *self.probe.environment.values(), f"{{port.{self.probe.port}}}")
        ports = free_ports(texts)
        values = placeholder_values(self.folder, address, ports)
        filled = {name: fill(text, values) for name, text in self.probe.environment.items()}
        argv = [str(self.program), *(fill(text, values) for text in arguments)]
        variables = {name: value for name, value in filled.items() if value}
        return argv, self._isolated | variables, ports[f"port.{self.probe.port}"]

    @property
    def _isolated(self) -> dict[str, str]:
        """An environment without the user's settings: the home is an empty folder."""
        return plain_environment(self.env) | {"HOME": str(self.folder)}


def try_service(
    program: Path, table: FreezeTable, probe: ServiceProbe, *, temporal: Path | None, home: Path, env: Mapping[str, str]
) -> None:
    """Run all tests of a frozen service, in a `home` that does not exist yet; GateError if one fails.

    `temporal` is the Temporal CLI for the service's platform, used only if the service needs Temporal.
    """
    home.mkdir()
    trial = Trial(program, probe, home, env)
    if table.selftest:
        trial.selftest(table.selftest)
    if not probe.temporal:
        trial.start_and_stop()
        return
    if temporal is None:
        raise GateError("the service needs Temporal, and there is none to test it with", _NO_TEMPORAL)
    trial.without_temporal()
    with temporal_server(temporal, folder=home, env=plain_environment(env)) as address:
        trial.start_and_stop(address)
        if table.workflow_test:
            trial.workflow(table.workflow_test, address)


@contextmanager
def temporal_server(program: Path, *, folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Run an in-memory Temporal and yield its address, `127.0.0.1:PORT`; CommandError if it does not become ready."""
    address = f"127.0.0.1:{free_port()}"
    argv = [str(program), *_SERVE, "--port", address.rpartition(":")[2]]
    log = folder / "temporal.log"
    with command.running(argv, env=env, cwd=folder, log=log) as server:
        server.wait_for(_SERVING, seconds=_TEMPORAL_SECONDS)
        yield address


def check_failure(code: int, output: str) -> None:
    """Raise GateError unless a service that was started without Temporal failed because of that.

    A missing import is reported first: a service may catch the error, and continue until it needs the module.
    """
    if _BROKEN.search(output):
        problem = "something is missing in the bundle"
    elif not _CONNECTION.search(output):
        problem = "for another reason"
    elif code == 0:
        problem = "it did not fail"
    else:
        return
    raise GateError(f"started without Temporal, the service ended with exit code {code}: {problem}\n{_tail(output)}")


def explain_excludes(error: GateError, settings: FreezeSettings) -> GateError:
    """Return the error, with cause and remedy added if a module is missing because `excludes` lists it."""
    missing = re.findall(r"No module named '([\w.]+)'", str(error))
    excludes = settings.table.excludes
    causes = [name for name in excludes if any(f"{module}.".startswith(f"{name}.") for module in missing)]
    if not causes:
        return error
    kept = ", ".join(name for name in excludes if name not in causes)
    return GateError(
        f"{error}\n{' and '.join(causes)} is missing because {settings.origins['excludes']} lists it in excludes",
        f"override `excludes` in the component's source in the manifest:\n      freeze: {{excludes: [{kept}]}}",
    )


def _tail(output: str) -> str:
    return "\n".join(f"  | {line}" for line in output.splitlines()[-20:])
