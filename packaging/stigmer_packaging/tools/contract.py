"""The contract between launcher and services: a program must ask for each variable that it is said to require."""

from collections.abc import Collection, Mapping
from pathlib import Path

from stigmer_packaging.errors import GateError
from stigmer_packaging.tools import command
from stigmer_packaging.tools.python import plain_environment

SECONDS = 60


def check_refusals(
    program: Path, environment: Mapping[str, str], required: Collection[str], *, folder: Path, env: Mapping[str, str]
) -> None:
    """Start a program once without each variable it must have; GateError unless it refuses, and names the variable."""
    problems = []
    for name in required:
        remaining = {key: value for key, value in environment.items() if key != name}
        given = plain_environment(env) | {"HOME": str(folder)} | remaining
        done = command.run([program], env=given, cwd=folder, seconds=SECONDS, check=False)
        if done.code == 0 or name not in done.stdout + done.stderr:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
            problems.append(f"without {name} it ends with exit code {done.code} and says\n{said}")
    if problems:
        raise GateError(f"{program.name} does not ask for what it needs:\n  " + "\n  ".join(problems))
