"""The contract between launcher and services: a program must ask for each variable that it is said to require."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import CommandError, GateError, refuse
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.sources.placeholders import fill_environment

SECONDS = 60.0
_REMEDY = (
    "correct `required` of the component in the manifest, or have the program refuse to start, naming the variable"
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
    """Start a program once without each variable it must have; GateError unless it refuses, and names the variable.

    The values of `environment` may be templates; `folder` is the home they are filled in with. A program that still runs
    after so many `seconds` has not refused.
    """
    filled = plain_environment(env) | {"HOME": str(folder)} | fill_environment(environment, folder)
    problems = (problem for name in required for problem in _problems(program, filled, name, folder, seconds))
    refuse(GateError, f"{program.name} does not ask for what it needs", problems, _REMEDY)


def _problems(program: Path, environment: Mapping[str, str], name: str, folder: Path, seconds: float) -> Iterator[str]:
    remaining = {key: value for key, value in environment.items() if key != name}
    try:
        done = command.run([program], env=remaining, cwd=folder, seconds=seconds, check=False)
    except CommandError:
        yield f"without {name} it starts, and still runs after {seconds:g} s"
        return
    said = done.stdout + done.stderr
    if done.code == 0 or name not in said:
        last = "\n".join(said.splitlines()[-5:])
        yield f"without {name} it ends with exit code {done.code} and says\n{last}"
