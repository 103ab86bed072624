"""Try a frozen program: a launcher must answer, a service start and stop, with a Temporal of its own platform if it needs one.

A service that fails because Temporal is missing has imported everything it needs to connect; one that fails earlier has not.
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
from stigmer_packaging.sources.freeze_table import FreezeFacts
from stigmer_packaging.sources.placeholders import fill, free_ports, placeholder_values, unused_address

SECONDS = 120
_TEMPORAL_SECONDS = 60
_SERVE = ("server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "error")
_SERVING = "Server:"  # the first line of what it prints once it serves; Temporal CLI 1.x
_NO_TEMPORAL = "give the manifest a component whose readiness is of the kind temporal"
_REMEDY = "name another owner in `owners` of the component's `freeze` in the manifest"
_ALONE = (
    "correct the service: it is tried without the others, must get ready, and must end when it is told to; "
    "a module that it imports by name belongs in `hidden_imports` of its `freeze`"
)
_CONNECTION = re.compile(
    r"connection refused|connection error|tcp connect error|failed client connect|failed to connect|connect call failed",
    re.IGNORECASE,
)
"""What a service prints when nothing listens at Temporal's address, in the words of its SDK or of the system."""

_FINALIZING = "Python runtime state: finalizing"
"""What CPython prints when it crashes during its finalization. Source: Python/pylifecycle.c."""

_BROKEN = re.compile(
    r"ModuleNotFoundError|ImportError|No module named|cannot import name|cannot open shared object file"
    r"|PackageNotFoundError|undefined symbol|Failed to load dyn\w* ?lib\w*|dynlib/dll .* was not found"
)


@dataclass(frozen=True)
class ServiceProbe:
    """How a service is tried: its arguments and environment, in which `{home}`, `{port.NAME}` and `{temporal.address}` stand.

    `ready` is the text it prints when it works; without one it works when its port named `port` is open. `grace` are
    the seconds in which it must stop. `temporal` says whether it needs Temporal.
    """

    environment: Mapping[str, str]
    ready: str
    grace: float
    arguments: tuple[str, ...] = ()
    port: str = ""
    temporal: bool = True


def check_answers(program: Path, name: str, version: str, *, env: Mapping[str, str]) -> None:
    """Raise GateError unless the frozen launcher answers `--version` and `--help`."""
    for question, answer in (("--version", f"{name} {version}"), ("--help", name)):
        asked = [str(program), question]
        done = command.run(asked, env=plain_environment(env), seconds=60, check=False)
        if done.code != 0 or not done.stdout.startswith(answer):
            said = done.stdout + done.stderr
            raise GateError(f"asked {question}, the frozen launcher does not answer {answer}\n{said}")


def try_imports(probe: Path, modules: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Import modules inside a bundle; GateError when one cannot be.

    The frozen service is a foreign program that cannot be asked to import something. `probe` is a second program with
    the same modules, made for this; it is removed, and not shipped.
    """
    try:
        with command.failing_as(GateError, "a distribution whose module has another owner cannot be imported", _REMEDY):
            command.run([probe, *modules], env=plain_environment(env), seconds=SECONDS)
    finally:
        probe.unlink()


@dataclass(frozen=True)
class Trial:
    """A frozen service on trial: its program, how it is tried, and a folder that is its home."""

    program: Path
    probe: ServiceProbe
    folder: Path
    env: Mapping[str, str]

    def without_temporal(self) -> None:
        """Start the service with nothing listening at Temporal's address; GateError unless it fails because of that."""
        words, env, _ = self._start(unused_address(), self.probe.arguments)
        with command.failing_as(GateError, "started without Temporal, the service does not give up"):
            done = command.run(words, env=env, cwd=self.folder, seconds=SECONDS, check=False)
        check_failure(done.code, done.stdout + done.stderr)

    def start_and_stop(self, address: str = "") -> None:
        """Start the service; GateError unless it gets ready, and stops with exit code 0 on SIGTERM.

        A service without Temporal may leave the signal to its default action; a worker must end what it has begun.
        `address` is that of a live Temporal; without one nothing listens there. A crash of the interpreter after the
        program's own end counts as stopped: a thread of an extension, such as Temporal's, may outlive the program, frozen
        or not.
        """
        situation = "with a live Temporal the service" if address else "the service"
        words, env, port = self._start(address or unused_address(), self.probe.arguments)
        with (
            command.failing_as(GateError, f"{situation} does not work", _ALONE),
            command.running(words, env=env, cwd=self.folder, log=self.folder / "service.log") as service,
        ):
            if self.probe.ready:
                service.wait_for(self.probe.ready, seconds=SECONDS)
            else:
                service.wait_until(lambda: is_open(port), f"open its port {self.probe.port}", seconds=SECONDS)
            code, output = service.stop(seconds=self.probe.grace), service.output
        usual = (0,) if self.probe.temporal else (0, -signal.SIGTERM)
        if not (code in usual or _FINALIZING in output) or _BROKEN.search(output):
            raise GateError(f"{situation} ended with exit code {code}\n{_tail(output)}", _ALONE)

    def workflow(self, arguments: tuple[str, ...], address: str) -> None:
        """Run the service's workflow test on a live Temporal; GateError unless it exits 0.

        A worker's sandbox imports by name at its first workflow: without that module, a bundle becomes ready nevertheless.
        """
        words, env, _ = self._start(address, arguments)
        try:
            command.run(words, env=env, cwd=self.folder, seconds=SECONDS)
        except CommandError as error:
            missing = next((line for line in error.output.splitlines() if _BROKEN.search(line)), "see what it printed")
            raise GateError(f"the frozen service cannot run a workflow: {missing.strip()}\n{error}") from error

    def selftest(self, arguments: tuple[str, ...]) -> None:
        """Run the service's selftest; GateError unless it exits 0."""
        with command.failing_as(GateError, "the frozen service does not pass its own test"):
            command.run([self.program, *arguments], env=self._isolated, cwd=self.folder, seconds=SECONDS)

    def _start(self, address: str, arguments: tuple[str, ...]) -> tuple[list[str], dict[str, str], int]:
        """Give command, environment and port of a start: a home of its own, free ports, and where Temporal is."""
        texts = (*arguments, *self.probe.environment.values(), f"{{port.{self.probe.port}}}")
        ports = free_ports(texts)
        values = placeholder_values(self.folder, address, ports)
        filled = {name: fill(text, values) for name, text in self.probe.environment.items()}
        words = [str(self.program), *(fill(text, values) for text in arguments)]
        given = {name: value for name, value in filled.items() if value}
        return words, self._isolated | given, ports[f"port.{self.probe.port}"]

    @property
    def _isolated(self) -> dict[str, str]:
        """An environment that holds nothing of the user's: the home is an empty folder."""
        return plain_environment(self.env) | {"HOME": str(self.folder)}


def try_service(
    program: Path, table: FreezeTable, probe: ServiceProbe, *, temporal: Path | None, home: Path, env: Mapping[str, str]
) -> None:
    """Put a frozen service through everything a freeze asks of it, in a `home` that does not exist; GateError if it fails.

    `temporal` is the Temporal CLI for the service's platform, which only a service that needs Temporal is tried with.
    """
    home.mkdir()
    trial = Trial(program, probe, home, env)
    if table.selftest:
        trial.selftest(table.selftest)
    if not probe.temporal:
        trial.start_and_stop()
        return
    if temporal is None:
        raise GateError("the service needs Temporal, and nothing here is a Temporal to try it with", _NO_TEMPORAL)
    trial.without_temporal()
    with temporal_server(temporal, folder=home, env=plain_environment(env)) as address:
        trial.start_and_stop(address)
        if table.workflow_test:
            trial.workflow(table.workflow_test, address)


@contextmanager
def temporal_server(program: Path, *, folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Serve from memory and give the address, `127.0.0.1:PORT`; CommandError when it does not come up."""
    address = f"127.0.0.1:{free_port()}"
    words = [str(program), *_SERVE, "--port", address.rpartition(":")[2]]
    log = folder / "temporal.log"
    with command.running(words, env=env, cwd=folder, log=log) as server:
        server.wait_for(_SERVING, seconds=_TEMPORAL_SECONDS)
        yield address


def check_failure(code: int, output: str) -> None:
    """Raise GateError unless a service that was started without Temporal failed because of that.

    A missing import counts first: a service may catch the error, and go on until the module is needed.
    """
    if _BROKEN.search(output):
        problem = "something is missing in the bundle"
    elif not _CONNECTION.search(output):
        problem = "not for that"
    elif code == 0:
        problem = "it did not fail"
    else:
        return
    raise GateError(f"started without Temporal, the service ended with exit code {code}: {problem}\n{_tail(output)}")


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
        "give the excludes without it in the manifest, in the component's source:"
        f"\n      freeze: {{excludes: [{kept}]}}",
    )


def _tail(output: str) -> str:
    return "\n".join(f"  | {line}" for line in output.splitlines()[-20:])
