"""Locked virtual environments in the cache: made once for a lock and a Python, whole or not at all."""

import fcntl
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stigmer_packaging.errors import MissingToolError
from stigmer_packaging.tools import command, digest
from stigmer_packaging.tools.environment import build_environment
from stigmer_packaging.tools.python import Interpreter, plain_environment

SECONDS = 1800
RECIPE = 1  # counts how environments are made, so that those of another recipe are not taken for current
_INSTALL = ("-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "--no-compile")
_MARKERS = "import json; from packaging.markers import default_environment; print(json.dumps(default_environment()))"


@dataclass(frozen=True)
class VirtualEnvironment:
    """A virtual environment that holds exactly what its lock names."""

    interpreter: Interpreter
    folder: Path

    @property
    def site(self) -> Path:
        """Where the distributions are installed."""
        major, minor, *_ = self.interpreter.version.split(".")
        return self.folder / "lib" / f"python{major}.{minor}" / "site-packages"

    def words(self, *arguments: str) -> list[str]:
        """Give the command that runs this environment's Python with these arguments."""
        return [*self.interpreter.prefix, str(self.folder / "bin" / "python"), *arguments]


def provide_virtualenv(
    lock: str,
    *,
    interpreter: Interpreter,
    cache: Path,
    env: Mapping[str, str],
    report: Callable[[str], None],
) -> VirtualEnvironment:
    """Give the environment that holds what `lock` (in pip's format, with hashes) says, made if it is not in the cache.

    It appears under its name by one rename, so a run that was killed leaves nothing that is taken for whole, and what
    such a run started may go on in a folder of its own. The lock file beside it lets one process make it while others
    wait.
    """
    key = digest.sha256_of_value(RECIPE, lock, interpreter.identity, interpreter.executable)[:20]
    place = cache / "environments" / key
    with _alone(place.with_suffix(".lock")):
        if not place.is_dir():
            report(f"installing the locked environment for Python {interpreter.version}")
            for left in place.parent.glob(f"{key}.*.part"):
                shutil.rmtree(left, ignore_errors=True)
            part = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".part", dir=place.parent))
            part.chmod(0o755)
            _make(VirtualEnvironment(interpreter, part), lock, env)
            part.rename(place)
    return VirtualEnvironment(interpreter, place)


def read_markers(environment: VirtualEnvironment, *, env: Mapping[str, str]) -> dict[str, str]:
    """Ask the environment's Python for the values that a lock's markers are about."""
    answer = command.run(environment.words("-I", "-c", _MARKERS), env=plain_environment(env), seconds=120)
    markers: dict[str, str] = json.loads(answer.stdout)
    return markers


def _make(made: VirtualEnvironment, lock: str, env: Mapping[str, str]) -> None:
    interpreter = made.interpreter
    venv = [*interpreter.prefix, interpreter.executable, "-I", "-m", "venv", str(made.folder)]
    done = command.run(venv, env=plain_environment(env), seconds=SECONDS, check=False)
    if done.code != 0:
        raise MissingToolError(
            f"{interpreter.executable} cannot make a virtual environment: {(done.stdout + done.stderr).strip()}",
            "on Debian and Ubuntu install python3-venv",
        )
    wanted = made.folder / "requirements.lock"
    wanted.write_text(lock, encoding="utf-8")
    network = build_environment(env)
    command.run(made.words(*_INSTALL, "-r", str(wanted)), env=network, seconds=SECONDS)
    _remove_installers(made, lock, network)


def _remove_installers(made: VirtualEnvironment, lock: str, network: Mapping[str, str]) -> None:
    """Take out what only installing needed and the lock does not name, so that it can neither be frozen nor clash."""
    named = {line.split("==")[0].strip() for line in lock.splitlines()}
    unwanted = [name for name in ("setuptools", "pip") if name not in named]
    command.run(made.words("-m", "pip", "uninstall", "--quiet", "--yes", *unwanted), env=network, seconds=SECONDS)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the kernel lets go of it when we are killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
