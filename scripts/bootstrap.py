"""Create the virtual environment of a lock (default: requirements.lock) in the cache; print the path of its Python.

The environment appears complete or not at all. Standard library only: this runs before anything is installed.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
EXIT = 3  # as for everything that requires an administrator
# pip's settings that would prevent an installation into the environment
REDIRECTIONS = ("PIP_DRY_RUN", "PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PIP_USER")
CHECK_INSTALLED = """
import sys
from importlib.metadata import distributions
found = {each.metadata["Name"].lower().replace("_", "-") for each in distributions()}
sys.exit(0 if found & set(sys.argv[1:]) else "pip installed nothing of the lock there: its settings redirect it")
"""


def cache_root() -> Path:
    """Return the cache directory shared by all checkouts. Source: the XDG base directory specification."""
    named, home = os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("HOME", "")
    if named.startswith("/"):
        return Path(named) / "stigmer-packaging"
    if not home.startswith("/"):
        fail(f"HOME is {home or 'empty'}, not an absolute path", "set HOME to a writable directory")
    return Path(home) / ".cache" / "stigmer-packaging"


def key_of(lock: bytes) -> str:
    """Return the name of an environment: a hash of the lock and of the Python that creates it."""
    identity = "\0".join((sys.version, sys.base_prefix, os.path.realpath(sys.executable)))
    return hashlib.sha256(lock + identity.encode()).hexdigest()[:20]


def provide(place: Path, lock: Path) -> Path:
    """Return the Python of the environment at `place`, created if it does not exist. A lock admits one process."""
    python = place / "bin" / "python"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not os.access(python, os.X_OK):
            part = place.with_suffix(".part")
            for leftover in (part, place):
                shutil.rmtree(leftover, ignore_errors=True)
            make(part, lock)
            part.rename(place)
    return python


def make(part: Path, lock: Path) -> None:
    """Create a virtual environment and install the lock into it. It may be renamed, as only `python -m` is used."""
    require_venv()
    tell(f"creating the environment of {lock.name} (once, about half a minute)")
    run([sys.executable, "-I", "-m", "venv", str(part)])
    install = ["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    python, own = str(part / "bin" / "python"), {key: os.environ[key] for key in os.environ if key not in REDIRECTIONS}
    run([python, *install, "--only-binary=:all:", "--requirement", str(lock)], own)
    names = re.findall(r"^([a-z0-9.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)
    run([python, "-I", "-c", CHECK_INSTALLED, *names])


def require_venv() -> None:
    """Ensure that this Python can create virtual environments; Debian has a separate package for that."""
    if importlib.util.find_spec("ensurepip"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        fail(
            f"{sys.executable} cannot create virtual environments",
            f"ask an administrator for: apt-get install {package}",
        )
    tell(f"installing {package}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        run(["apt-get", "--quiet", *words], env)


def run(words: list[str], env: dict[str, str] | None = None) -> None:
    """Run a program; if it fails, exit with the end of its output."""
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        fail(f"{' '.join(words)} failed:\n{output}", "fix the problem above (network, disk, Python) and run it again")


def tell(text: str) -> None:
    """Print a message about a slow operation, if stderr is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


def fail(what: str, remedy: str) -> NoReturn:
    """Exit with an error message in the format of stigmer_packaging."""
    sys.stderr.write(f"Error: {what}\nHint: {remedy}\n")
    sys.exit(EXIT)


if __name__ == "__main__":
    named = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "requirements.lock")
    try:
        sys.stdout.write(f"{provide(cache_root() / 'python' / key_of(named.read_bytes()), named)}\n")
    except OSError as error:
        fail(
            str(error),
            "free disk space or fix the permissions of that file, or set XDG_CACHE_HOME to another directory",
        )
