"""The contract between launcher and services, held against the programs themselves, before anybody ships them.

A variable that is sent under a name nobody reads does nothing, and nothing says so: tasks then go to other queues.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from stigmer_packaging.errors import GateError
from stigmer_packaging.tools import command
from stigmer_packaging.tools.python import plain_environment

SECONDS = 60
COMPRESSED = b"MEI\x0c\x0b\x0a\x0b\x0e"
"""The mark of a file that unpacks itself. Source: PyInstaller's archive cookie. Its names cannot be seen from outside."""

_CHUNK = 1 << 22


def check_names(files: Iterable[Path], names: Collection[str], program: str) -> None:
    """Raise GateError with every variable that is sent to a program and whose name is nowhere in its files.

    A single file that unpacks itself is let through: its modules are compressed, and only its run can show it.
    """
    wanted, given = {name.encode() for name in names}, tuple(path for path in files if path.is_file())
    found: set[bytes] = set()
    for path in given:
        found |= find_words(path, {*wanted, COMPRESSED})
    if wanted <= found or (len(given) == 1 and COMPRESSED in found):
        return
    unread = ", ".join(sorted(name.decode() for name in wanted - found))
    raise GateError(
        f"{program} is sent variables that it does not read: {unread}",
        "correct the component's environment in packaging/manifest.yaml, or name them in its `optional`",
    )


def find_words(path: Path, words: Collection[bytes]) -> set[bytes]:
    """Give those of the words that stand somewhere in a file."""
    longest, kept = max(map(len, words)), b""
    found: set[bytes] = set()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found |= {word for word in words if word in kept + chunk}
            kept = chunk[-longest:]
    return found


def check_refusals(
    program: Path, environment: Mapping[str, str], required: Collection[str], *, folder: Path, env: Mapping[str, str]
) -> None:
    """Start a program once without each variable it must have; GateError unless it refuses, and names the variable."""
    problems = []
    for name in required:
        left = {key: value for key, value in environment.items() if key != name}
        surroundings = plain_environment(env) | {"HOME": str(folder)} | left
        done = command.run([program], env=surroundings, cwd=folder, seconds=SECONDS, check=False)
        if done.code == 0 or name not in done.stdout + done.stderr:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-5:])
            problems.append(f"without {name} it ends with exit code {done.code} and says\n{said}")
    if problems:
        raise GateError(f"{program.name} does not ask for what it needs:\n  " + "\n  ".join(problems))
