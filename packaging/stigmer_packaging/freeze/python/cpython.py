"""Configures, builds and installs CPython for the target, and for this machine, whose CPython the builds run."""

import re
from collections.abc import Iterable
from pathlib import Path

from stigmer_packaging.freeze.python.build import BUILD_MACHINE, Build
from stigmer_packaging.freeze.python.recipe import CPython
from stigmer_packaging.freeze.python.sources import apply_edit
from stigmer_packaging.lib.errors import GateError

_UNUSED = (
    "_ssl",
    "_hashlib",
    "_sqlite3",
    "_uuid",
    "_ctypes",
    "_lzma",
    "_bz2",
    "zlib",
    "_decimal",
    "pyexpat",
    "_elementtree",
)
"""Modules that are not needed to freeze CPython's own modules and to compile bytecode."""


def build_host_python(build: Build) -> Path:
    """Build the CPython that runs here, and return its executable.

    It only freezes modules and compiles bytecode, so its options are those of the fastest build.
    """
    build.report("compiling the CPython that the builds run")
    cpython = build.recipe.cpython
    folder = build.source(cpython.source)
    absent = _left_out((*cpython.absent, *_UNUSED))
    options = ("--prefix=/host", "--without-ensurepip", "--disable-test-modules", "OPT=-DNDEBUG -O1")
    build.run("./configure", *options, *absent, cwd=folder)
    _make(build, folder, "PY3LIBRARY=")
    return build.outcome / "bin" / f"python{build.recipe.major_minor}"


def build_cpython(build: Build, host_python: Path) -> None:
    """Build the target's CPython in the folder `outcome` of the build."""
    build.report("compiling CPython")
    cpython = build.recipe.cpython
    folder = build.source(cpython.source)
    for edit in cpython.edit:
        apply_edit(edit, folder)
    (folder / "Modules" / "Setup.local").write_text("\n".join(("*static*", *cpython.static, "")), encoding="utf-8")
    build.run("./configure", *configure_words(build, host_python), cwd=folder)
    _make(build, folder, *cpython.make)
    require_modules(folder, build)


def configure_words(build: Build, host_python: Path) -> list[str]:
    """Return the arguments of configure."""
    recipe, cpython = build.recipe, build.recipe.cpython
    return [
        f"--host={recipe.platform.host}",
        f"--build={BUILD_MACHINE}",
        f"--with-build-python={host_python}",
        f"--prefix={recipe.prefix}",
        f"--with-openssl={build.dependencies}",
        *cpython.options,
        *(f"ac_cv_{name}={answer}" for name, answer in sorted(cpython.answers.items())),
        *_left_out(cpython.absent),
        f"OPT={' '.join(cpython.optimize)}",
        f"CFLAGS_NODIST={' '.join(cpython.compile)}",
        f"LDFLAGS_NODIST={' '.join(cpython.link)}",
    ]


def require_modules(folder: Path, build: Build) -> None:
    """Raise GateError if an extension module is missing that the recipe does not leave out: make does not fail then."""
    states = (folder / "Makefile").read_text(encoding="utf-8")
    built = {*builtin_modules(folder), *shared_modules(build.outcome)}
    if missing := find_missing_modules(states, built, build.recipe.cpython):
        raise GateError(
            f"CPython for {build.recipe.target} was built without {', '.join(missing)}",
            "see at the end of config.log what configure did not find, or list them in packaging/python/cpython.toml",
        )


def find_missing_modules(makefile: str, built: Iterable[str], cpython: CPython) -> list[str]:
    """Return the extension modules in CPython's makefile that are neither built nor left out on purpose, sorted."""
    known = {name.lower() for name in re.findall(r"^MODULE_(\w+)_STATE=", makefile, re.MULTILINE)}
    return sorted(known - set(built) - {*cpython.absent, *cpython.foreign, *cpython.tests})


def builtin_modules(folder: Path) -> list[str]:
    """Return the modules in CPython's own library, sorted; `folder` is where it was built."""
    text = (folder / "Modules" / "config.c").read_text(encoding="utf-8")
    return sorted(re.findall(r'^\s*\{"(\w+)", ', text, re.MULTILINE))


def shared_modules(prefix: Path) -> list[str]:
    """Return the extension modules that are separate files, sorted."""
    return sorted(path.name.partition(".")[0] for path in prefix.glob("lib/python3.*/lib-dynload/*.so"))


def _left_out(modules: Iterable[str]) -> list[str]:
    return [f"py_cv_module_{name}=n/a" for name in modules]


def _make(build: Build, folder: Path, *words: str) -> None:
    """Run make and make install, without compiling bytecode: `finish` does that once, in one form, for all files."""
    prefix = re.search(r"^prefix=\s*(\S+)$", (folder / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    build.run("make", f"-j{build.jobs}", *words, cwd=folder)
    build.run("make", "install", f"DESTDIR={build.folder}/installed", "PYTHON_FOR_BUILD=true", *words, cwd=folder)
    (build.folder / "installed" / (prefix[1].lstrip("/") if prefix else "")).rename(build.outcome)
