"""Checks the contract between launcher and services: a program must not start without a variable that it requires."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, GateError, raise_if_any
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.sources.placeholders import fill_environment

SECONDS = 60.0
_REMEDY = (
    "correct `required` of the component in the manifest, or make the program fail with an error naming the variable"
)


def check_refusals(
    program: Path,
    environment: Mapping[str, str],
    required: Collection[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    seconds: float = SECONDS,
) -> None:
    """Start a program once without each required variable; GateError unless it fails and its output names the variable.

    The values of `environment` may contain placeholders; `folder` is the home. A program that still runs after
    `seconds` has not failed.
    """
    filled = plain_environment(env) | {"HOME": str(folder)} | fill_environment(environment, folder)
    problems = (problem for name in required for problem in _problems(program, filled, name, folder, seconds))
    raise_if_any(GateError, f"{program.name} does not report a missing variable", problems, _REMEDY)


def _problems(program: Path, environment: Mapping[str, str], name: str, folder: Path, seconds: float) -> Iterator[str]:
    remaining = {key: value for key, value in environment.items() if key != name}
    try:
        result = command.run([program], env=remaining, cwd=folder, seconds=seconds, check=False)
    except CommandError:
        yield f"without {name} it starts, and still runs after {seconds:g} s"
        return
    output = result.stdout + result.stderr
    if result.code == 0 or name not in output:
        last = "\n".join(output.splitlines()[-5:])
        yield f"without {name} it exits with code {result.code} and prints\n{last}"
