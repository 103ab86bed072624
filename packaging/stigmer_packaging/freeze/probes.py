"""Try a frozen service: without Temporal it must fail to connect; with it, become ready, pass its tests and stop.

A service that fails because Temporal is missing has imported everything it needs to connect; one that fails earlier has not.
"""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, GateError
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.lib.ports import is_open
from stigmer_packaging.sources.placeholders import fill, free_ports, placeholder_values, unused_address

SECONDS = 120
CONNECTION = (
    r"connection refused",
    r"connection error",
    r"tcp connect error",
    r"failed client connect",
    r"failed to connect",
    r"connect call failed",
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
    the seconds in which it must stop. `temporal` says whether it needs Temporal;
    `connection` are patterns of which one must match what it prints when nothing listens at Temporal's address.
    """

    environment: Mapping[str, str]
    ready: str
    grace: float
    arguments: tuple[str, ...] = ()
    port: str = ""
    temporal: bool = True
    connection: tuple[str, ...] = CONNECTION


@dataclass(frozen=True)
class _Start:
    """One start of a service: its command, its environment, and the port it is to open."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    port: int


def classify_failure(output: str, connection: tuple[str, ...] = CONNECTION) -> str:
    """Say from its output why a service failed: `import` for a broken bundle, `connection`, or `other`.

    A missing import counts first: a service may catch the error, and go on until the module is needed.
    """
    if _BROKEN.search(output):
        return "import"
    if any(re.search(pattern, output, re.IGNORECASE) for pattern in connection):
        return "connection"
    return "other"


def check_failure(code: int, output: str, connection: tuple[str, ...] = CONNECTION) -> None:
    """Raise GateError unless a service that was started without Temporal failed because of that."""
    reason = classify_failure(output, connection)
    if code == 0 or reason != "connection":
        what = {
            "import": "something is missing in the bundle",
            "connection": "it did not fail",
            "other": "not for that",
        }
        raise GateError(
            f"started without Temporal, the service ended with exit code {code}: {what[reason]}\n{_tail(output)}"
        )


def check_answers(program: Path, name: str, version: str, *, env: Mapping[str, str]) -> None:
    """Raise GateError unless the frozen launcher answers `--version` and `--help`."""
    for question, answer in (("--version", f"{name} {version}"), ("--help", name)):
        asked = [str(program), question]
        done = command.run(asked, env=plain_environment(env), seconds=60, check=False)
        if done.code != 0 or not done.stdout.startswith(answer):
            raise GateError(
                f"asked {question}, the frozen launcher does not answer {answer}\n{done.stdout}{done.stderr}"
            )


def probe_without_temporal(program: Path, probe: ServiceProbe, *, folder: Path, env: Mapping[str, str]) -> None:
    """Start the service with nothing listening at Temporal's address; GateError unless it fails because of that."""
    start = _prepare(program, probe, unused_address(), folder, env)
    try:
        seconds = SECONDS
        done = command.run(start.words, env=start.environment, cwd=folder, seconds=seconds, check=False)
    except CommandError as error:
        raise GateError(f"started without Temporal, the service does not give up: {error}") from error
    check_failure(done.code, done.stdout + done.stderr, probe.connection)


def probe_start_and_stop(
    program: Path,
    probe: ServiceProbe,
    *,
    address: str = "",
    folder: Path,
    env: Mapping[str, str],
) -> None:
    """Start the service; GateError unless it gets ready, and stops with exit code 0 on SIGTERM.

    A service without Temporal may leave the signal to its default action; a worker must end what it has begun.
    `address` is that of a live Temporal; without one nothing listens there. A crash of the interpreter after the
    program's own end counts as stopped: a thread of an extension, such as Temporal's, may outlive the program, frozen
    or not.
    """
    situation = "with a live Temporal the service" if address else "the service"
    start = _prepare(program, probe, address or unused_address(), folder, env)
    try:
        with command.running(start.words, env=start.environment, cwd=folder, log=folder / "service.log") as service:
            _wait_until_ready(service, probe, start.port, SECONDS)
            code, output = service.stop(seconds=probe.grace), service.output
    except CommandError as error:
        raise GateError(f"{situation} does not work: {error}") from error
    stopped = code in _stop_codes(probe) or _FINALIZING in output
    if not stopped or classify_failure(output, ()) == "import":
        raise GateError(f"{situation} ended with exit code {code}\n{_tail(output)}")


def _stop_codes(probe: ServiceProbe) -> tuple[int, ...]:
    return (0,) if probe.temporal else (0, -signal.SIGTERM)


def probe_workflow(
    program: Path,
    arguments: tuple[str, ...],
    probe: ServiceProbe,
    *,
    address: str,
    folder: Path,
    env: Mapping[str, str],
) -> None:
    """Run the service's workflow test on a live Temporal; GateError unless it exits 0.

    A worker's sandbox imports by name at its first workflow: without that module, a bundle becomes ready nevertheless.
    """
    start = _prepare(program, replace(probe, arguments=arguments), address, folder, env)
    try:
        command.run(start.words, env=start.environment, cwd=folder, seconds=SECONDS)
    except CommandError as error:
        missing = next((line for line in error.output.splitlines() if _BROKEN.search(line)), "see what it printed")
        raise GateError(f"the frozen service cannot run a workflow: {missing.strip()}\n{error}") from error


def probe_selftest(program: Path, arguments: tuple[str, ...], *, folder: Path, env: Mapping[str, str]) -> None:
    """Run the service's selftest; GateError unless it exits 0."""
    try:
        words = [str(program), *arguments]
        command.run(words, env=_isolated(folder, env), cwd=folder, seconds=SECONDS)
    except CommandError as error:
        raise GateError(f"the frozen service does not pass its own test: {error}") from error


def _prepare(program: Path, probe: ServiceProbe, address: str, folder: Path, env: Mapping[str, str]) -> _Start:
    """Fill in what a start of the service is told: a home of its own, free ports, and where Temporal is."""
    texts = (*probe.arguments, *probe.environment.values(), f"{{port.{probe.port}}}")
    ports = free_ports(texts)
    values = placeholder_values(folder, address, ports)
    filled = {name: fill(text, values) for name, text in probe.environment.items()}
    words = (str(program), *(fill(text, values) for text in probe.arguments))
    given = {name: value for name, value in filled.items() if value}
    return _Start(words, _isolated(folder, env) | given, ports[f"port.{probe.port}"])


def _wait_until_ready(service: command.Running, probe: ServiceProbe, port: int, seconds: float) -> None:
    if probe.ready:
        service.wait_for(probe.ready, seconds=seconds)
    else:
        service.wait_until(lambda: is_open(port), f"open its port {probe.port}", seconds=seconds)


def _isolated(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Give an environment that holds nothing of the user's: the home is an empty folder."""
    return plain_environment(env) | {"HOME": str(folder)}


def _tail(output: str) -> str:
    return "\n".join(f"  | {line}" for line in output.splitlines()[-20:])
