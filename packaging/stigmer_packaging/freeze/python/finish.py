"""Finishes a build: removes what is not needed to run or freeze programs, and all traces of the build machine."""

import shutil
from pathlib import Path

from stigmer_packaging.binaries import elf, macho
from stigmer_packaging.freeze.python.build import PLACE, Build, copy_into
from stigmer_packaging.freeze.python.libraries import shared_libraries
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.lib.patchelf import find_patchelf, set_search
from stigmer_packaging.lib.target import Target

_FOLDERS = ("include", "share/man", "lib/pkgconfig")
_OF_THE_LIBRARY = ("test", "idlelib", "tkinter", "turtledemo")
_FILES = ("bin/idle3*", "bin/pydoc3*", "bin/*-config", "lib/libpython3.so", "lib/libpython3.?*.so")
_RECORDED = ("_sysconfigdata*.py", "_sysconfig_vars*", "config-*/*")

Version = tuple[int, ...]


def finish(build: Build, host_python: Path) -> None:
    """Add the libraries, prune, remove the path of the build, compile the bytecode, and set the modes of files."""
    prefix = build.outcome
    library = prefix / "lib" / f"python{build.recipe.major_minor}"
    copy_into(shared_libraries(build), prefix / "lib")
    prune(prefix, library)
    for pattern in _RECORDED:
        for path in library.glob(pattern):
            forget_place(path, build.folder)
    if not build.darwin:
        program = prefix / "bin" / f"python{build.recipe.major_minor}"
        set_search(program, "$ORIGIN/../lib", patchelf=find_patchelf(build.environment), env=build.variables)
    compile_bytecode(build, host_python, library)
    settle_modes(prefix)
    refuse_traces(prefix, build.folder.parent)


def prune(prefix: Path, library: Path) -> None:
    """Remove what is not needed to run or freeze a program."""
    for folder in (*(prefix / name for name in _FOLDERS), *(library / name for name in _OF_THE_LIBRARY)):
        shutil.rmtree(folder, ignore_errors=True)
    for path in (path for pattern in _FILES for path in prefix.glob(pattern)):
        path.unlink()


def forget_place(path: Path, folder: Path) -> None:
    """Replace the build's folder with PLACE in a text file; objects are compiled without it."""
    content = path.read_bytes()
    if path.suffix != ".o" and str(folder).encode() in content:
        path.write_bytes(content.replace(str(folder).encode(), PLACE.encode()))


def compile_bytecode(build: Build, host_python: Path, library: Path) -> None:
    """Compile the standard library to bytecode that contains the paths of its files below the prefix."""
    for cache in sorted(library.rglob("__pycache__")):
        shutil.rmtree(cache)
    names = ("-s", str(build.outcome), "-p", build.recipe.prefix)
    words: list[str | Path] = [
        "-E",
        "-m",
        "compileall",
        "-q",
        f"-j{build.jobs}",
        *names,
        "--invalidation-mode",
        "unchecked-hash",
        library,
    ]
    build.run(host_python, *words, cwd=build.folder)


def settle_modes(prefix: Path) -> None:
    """Set the mode of every file to 0755 or 0644, whatever the umask is."""
    for path in prefix.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or (path.parent.name == "bin" and path.parent.parent == prefix)
            path.chmod(0o755 if executable else 0o644)


def refuse_traces(prefix: Path, folder: Path) -> None:
    """Raise GateError if a file contains the path of the build's folder, and so depends on where it was built."""
    files = (path for path in sorted(prefix.rglob("*")) if path.is_file() and not path.is_symlink())
    if affected := [str(path.relative_to(prefix)) for path in files if str(folder).encode() in path.read_bytes()]:
        raise GateError(f"these files contain {folder}, where they were built: {', '.join(affected)}")


def measure_floor(prefix: Path, target: Target, promised: str) -> str:
    """Return the oldest glibc or macOS that runs every file; GateError if that is newer than promised."""
    highest = tuple(map(int, promised.split(".")))
    needs = _glibc_needs(prefix) if target.system == "linux" else _macos_needs(prefix)
    above = [
        f"{path.relative_to(prefix)} needs {_dotted(version)}" for path, version in needs.items() if version > highest
    ]
    if above:
        raise GateError(f"the Python for {target} promises {promised}:\n  " + "\n  ".join(above))
    return _dotted(max(needs.values()))


def _glibc_needs(prefix: Path) -> dict[Path, Version]:
    return {path: elf.read_elf(path.read_bytes()).glibc for path in elf.find_elves(prefix)}


def _macos_needs(prefix: Path) -> dict[Path, Version]:
    files = (path for path in sorted(prefix.rglob("*")) if path.is_file() and not path.is_symlink())
    contents = ((path, path.read_bytes()) for path in files)
    machos = {path: macho.read_machos(content) for path, content in contents if macho.is_macho(content[:8])}
    return {path: max(_significant(each.minimum or (99,)) for each in slices) for path, slices in machos.items()}


def _significant(version: Version) -> Version:
    """Remove zeros after the second number: 11.0.0 is no newer than 11.0."""
    return version[:2] if not any(version[2:]) else version


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
