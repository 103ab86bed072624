"""Programs of this machine with the libraries they need, as the files of a package: a root small enough for a test."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from stigmer_packaging.binaries import elf
from support.tiny_packages import file_entry

PROGRAMS = ("sh", "mkdir", "cp", "cat", "true", "tar", "gzip", "xz", "patch", "ldconfig", "env", "sleep")


def program_entries(names: Iterable[str] = PROGRAMS) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Give the files of these programs, of the loader and of every library they need, each once."""
    libraries = dict(_library_lines())
    files: dict[str, bytes] = {}
    for name in names:
        program = Path(_find(name)).resolve()
        files[f"usr/bin/{name}"] = program.read_bytes()
        waiting = list(elf.read_elf(program.read_bytes()).needed)
        while waiting:
            needed = libraries[waiting.pop()]
            place = str(needed).lstrip("/")
            if place not in files:
                files[place] = needed.read_bytes()
                waiting += elf.read_elf(needed.read_bytes()).needed
    loader = (
        "lib64/ld-linux-x86-64.so.2" if Path("/lib64/ld-linux-x86-64.so.2").exists() else "lib/ld-linux-aarch64.so.1"
    )
    files[loader] = Path("/", loader).read_bytes()
    return [file_entry(place, content, 0o755) for place, content in sorted(files.items())]


def _find(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert found, f"this machine has no {name}"
    return found


def _library_lines() -> Iterator[tuple[str, Path]]:
    """List soname and place of every library the loader's cache knows; the first of a name is the one it takes."""
    printed = subprocess.run([_find("ldconfig"), "-p"], capture_output=True, text=True, check=True).stdout
    found = [line.strip().partition(" (")[::2] for line in printed.splitlines() if " => " in line]
    pairs = [(name, Path(rest.rpartition(" => ")[2])) for name, rest in found if "64" in rest]
    yield from reversed(pairs)
