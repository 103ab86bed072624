"""On what was measured: told so that others can compare, and without a path of this machine."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import ground
from stigmer_launcher.install.payload import files_of, read_keg


def describe_machine(keg: Path, python: Path, ground_kind: str) -> list[str]:
    """List processor, system, Python, the keg's components, and the file system."""
    payload = read_keg(str(keg / "libexec")).payload
    parts = ", ".join(f"{part.name} {part.version}" for part in payload.components)
    size = sum(entry.size for entry in files_of(payload)) / 1e6
    return [
        f"{os.cpu_count()} cores, {_processor()}",
        f"{platform.system()} {platform.release()}, {platform.machine()}",
        f"CPython {version_of(python)}, frozen and bare ({python.name})",
        f"{payload.name} {payload.version} for {payload.target}: {parts}; {len(files_of(payload))} files, {size:.0f} MB",
        ground.describe(ground_kind),
    ]


def find_python(keg: Path) -> Path:
    """Find the interpreter that the keg's launcher was frozen from: the one that runs this, or a pinned one of the cache.

    The first candidate when none is the keg's.
    """
    candidates = list(_pythons())
    return next((each for each in candidates if has_python(keg, version_of(each))), candidates[0])


def _pythons() -> Iterator[Path]:
    yield Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stigmer-packaging" / "freeze-python"
    own = _architecture(Path(sys.executable))
    yield from (each for each in sorted(cache.glob("*/prefix/bin/python3.[0-9]*")) if _architecture(each) == own)


def _architecture(program: Path) -> bytes:
    """Give the bytes by which a program is known to be for this machine: the format, and the processor of an ELF file."""
    with program.open("rb") as stream:
        head = stream.read(20)
    return head[:4] + head[18:]


def library_path(python: Path) -> dict[str, str]:
    """Give the variable by which an interpreter finds its library: that of a pinned one lies on no search path."""
    folder = python.resolve().parents[1] / "lib"
    return {"LD_LIBRARY_PATH": str(folder)} if any(folder.glob("libpython3*.so*")) else {}


def version_of(python: Path) -> str:
    """Ask an interpreter for its version."""
    words = [str(python), "-I", "-S", "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"]
    asked = subprocess.run(words, env=library_path(python), check=True, capture_output=True, timeout=30)
    return asked.stdout.decode().strip()


def has_python(keg: Path, version: str) -> bool:
    """Tell whether the keg's launcher has this very Python in it: its library carries the version as a C string."""
    libraries = (keg / "libexec" / "launcher" / "lib").glob("*ython*")
    return any(f"{version}\0".encode() in each.read_bytes() for each in libraries if each.is_file())


def load() -> float:
    """Give the machine's load over the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in info.read_text(encoding="utf-8").splitlines()
             if line.startswith("model name")]  # fmt: skip
    return names[0] if names else platform.processor()
