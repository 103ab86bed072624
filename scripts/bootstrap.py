"""Make the environment of a lock, requirements.lock unless another is named, in the cache, whole or not at all.

Prints the path of its Python. Standard library only: this is what runs before anything is installed.
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
EXIT = 3  # as for everything that only an administrator can install
ELSEWHERE = ("PIP_DRY_RUN", "PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PIP_USER")  # would install nothing, or not here
INSTALLED = """
import sys
from importlib.metadata import distributions
found = {each.metadata["Name"].lower().replace("_", "-") for each in distributions()}
sys.exit(0 if found & set(sys.argv[1:]) else "pip installed nothing of the lock there: its settings name another place")
"""


def cache_root() -> Path:
    """Give the folder for what any checkout may share. Source: the XDG base directory specification."""
    named, home = os.environ.get("XDG_CACHE_HOME", ""), os.environ.get("HOME", "")
    if named.startswith("/"):
        return Path(named) / "stigmer-packaging"
    if not home.startswith("/"):
        fail(f"HOME is {home or 'empty'}, and no folder", "set HOME to a folder that can be written")
    return Path(home) / ".cache" / "stigmer-packaging"


def key_of(lock: bytes) -> str:
    """Name an environment after all it depends on: the lock, and the Python it is made with."""
    identity = "\0".join((sys.version, sys.base_prefix, os.path.realpath(sys.executable)))
    return hashlib.sha256(lock + identity.encode()).hexdigest()[:20]


def provide(place: Path, lock: Path) -> Path:
    """Give the Python of the environment at `place`, which is made if it is not whole. One process makes it."""
    python = place / "bin" / "python"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not os.access(python, os.X_OK):
            part = place.with_suffix(".part")
            for litter in (part, place):
                shutil.rmtree(litter, ignore_errors=True)
            make(part, lock)
            part.rename(place)
    return python


def make(part: Path, lock: Path) -> None:
    """Make a virtual environment and install the lock into it. It may be renamed: only `python -m` is used of it."""
    require_venv()
    tell(f"making the environment of {lock.name} (once, about half a minute)")
    run([sys.executable, "-I", "-m", "venv", str(part)])
    install = ["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    python, own = str(part / "bin" / "python"), {key: os.environ[key] for key in os.environ if key not in ELSEWHERE}
    run([python, *install, "--only-binary=:all:", "--requirement", str(lock)], own)
    names = re.findall(r"^([a-z0-9.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)
    run([python, "-I", "-c", INSTALLED, *names])


def require_venv() -> None:
    """Make sure that this Python can make virtual environments, which Debian packs apart."""
    if importlib.util.find_spec("ensurepip"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        fail(
            f"{sys.executable} cannot make virtual environments", f"ask an administrator for: apt-get install {package}"
        )
    tell(f"installing {package}")
    settled = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        run(["apt-get", "--quiet", *words], settled)


def run(words: list[str], env: dict[str, str] | None = None) -> None:
    """Run a program; when it fails, end with what it printed."""
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        printed = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        fail(f"{' '.join(words)} failed:\n{printed}", "correct what it says (network, disk, Python), then run again")


def tell(text: str) -> None:
    """Say what takes long, to people only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


def fail(what: str, remedy: str) -> NoReturn:
    """End with an error in packaging's own form."""
    sys.stderr.write(f"Error: {what}\nHint: {remedy}\n")
    sys.exit(EXIT)


if __name__ == "__main__":
    named = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "requirements.lock")
    try:
        sys.stdout.write(f"{provide(cache_root() / 'python' / key_of(named.read_bytes()), named)}\n")
    except OSError as error:
        fail(
            str(error),
            "free space or correct the permissions of the file it names, or set XDG_CACHE_HOME to another folder",
        )
