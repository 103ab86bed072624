"""Description of the machine for the report, without any path of it, so that others can compare their results."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import filesystem
from stigmer_launcher.install.payload import files_of, read_keg


def describe_machine(keg: Path, python: Path, filesystem_kind: str) -> list[str]:
    """Return lines about the processor, system, Python, the keg's components, and the file system."""
    payload = read_keg(str(keg / "libexec")).payload
    parts = ", ".join(f"{part.name} {part.version}" for part in payload.components)
    size = sum(entry.size for entry in files_of(payload)) / 1e6
    return [
        f"{os.cpu_count()} cores, {_processor()}",
        f"{platform.system()} {platform.release()}, {platform.machine()}",
        f"CPython {version_of(python)}, frozen and bare ({python.name})",
        f"{payload.name} {payload.version} for {payload.target}: {parts}; {len(files_of(payload))} files, {size:.0f} MB",
        filesystem.describe(filesystem_kind),
    ]


def find_python(keg: Path) -> Path:
    """Return the interpreter that the keg's launcher was frozen from: the running one, or a pinned one in the cache.

    If none matches, return the running one.
    """
    candidates = list(_pythons())
    return next((each for each in candidates if has_python(keg, version_of(each))), candidates[0])


def _pythons() -> Iterator[Path]:
    yield Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stigmer-packaging" / "freeze-python"
    own = _architecture(Path(sys.executable))
    yield from (each for each in sorted(cache.glob("*/prefix/bin/python3.[0-9]*")) if _architecture(each) == own)


def _architecture(program: Path) -> bytes:
    """Return the header bytes that depend on the platform: the magic number and, in an ELF file, the machine type."""
    with program.open("rb") as stream:
        head = stream.read(20)
    return head[:4] + head[18:]


def library_path(python: Path) -> dict[str, str]:
    """Return the variable an interpreter needs to find its library: a pinned one's is on no search path."""
    folder = python.resolve().parents[1] / "lib"
    return {"LD_LIBRARY_PATH": str(folder)} if any(folder.glob("libpython3*.so*")) else {}


def version_of(python: Path) -> str:
    """Return the version of an interpreter, such as `3.13.5`."""
    words = [str(python), "-I", "-S", "-c", "import sys; print('.'.join(map(str, sys.version_info[:3])))"]
    done = subprocess.run(words, env=library_path(python), check=True, capture_output=True, timeout=30)
    return done.stdout.decode().strip()


def has_python(keg: Path, version: str) -> bool:
    """Return whether the keg's launcher bundles this Python version: libpython contains it as a C string."""
    libraries = (keg / "libexec" / "launcher" / "lib").glob("*ython*")
    return any(f"{version}\0".encode() in each.read_bytes() for each in libraries if each.is_file())


def load() -> float:
    """Return the machine's load average over the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in info.read_text(encoding="utf-8").splitlines()
             if line.startswith("model name")]  # fmt: skip
    return names[0] if names else platform.processor()
