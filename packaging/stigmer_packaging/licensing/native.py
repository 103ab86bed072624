"""The C libraries that a frozen bundle takes from the build system: their projects, versions and licences."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from stigmer_packaging.lib import command
from stigmer_packaging.lib.errors import GateError, MissingToolError
from stigmer_packaging.lib.interpreter import Interpreter
from stigmer_packaging.licensing.licences import Credit, purl_of, read_file

COPYRIGHT = "share/doc/{}/copyright"  # Source: Debian Policy 12.5


@dataclass(frozen=True)
class Library:
    """The project of a library, its licence as an SPDX expression, and its Debian packages."""

    project: str
    licence: str
    packages: tuple[str, ...] = ()


_GCC, _OPENSSL = "GPL-3.0-or-later WITH GCC-exception-3.1", "Apache-2.0"
_NCURSES = "X11-distribute-modifications-variant"

LIBRARIES: Mapping[str, Library] = {
    "libbz2": Library("bzip2", "bzip2-1.0.6", ("bzip2",)),
    "libcrypt": Library("libxcrypt", "LGPL-2.1-or-later"),
    "libcrypto": Library("openssl", _OPENSSL, ("openssl",)),
    "libedit": Library("libedit", "BSD-3-Clause"),
    "libexpat": Library("expat", "MIT", ("expat",)),
    "libffi": Library("libffi", "MIT", ("libffi",)),
    "libgcc_s": Library("gcc", _GCC, ("libgcc-s1",)),
    "libintl": Library("gettext", "LGPL-2.1-or-later"),
    "liblzma": Library("xz", "LicenseRef-public-domain", ("xz-utils",)),
    "libmpdec": Library("mpdecimal", "BSD-2-Clause"),
    "libncurses": Library("ncurses", _NCURSES),
    "libncursesw": Library("ncurses", _NCURSES),
    "libnsl": Library("libnsl", "LGPL-2.1-or-later"),
    "libpython": Library("cpython", "Python-2.0.1", ("python3.13",)),
    "libreadline": Library("readline", "GPL-3.0-or-later"),
    "libsqlite3": Library("sqlite", "blessing", ("sqlite3",)),
    "libssl": Library("openssl", _OPENSSL, ("openssl",)),
    "libstdc++": Library("gcc", _GCC, ("libstdc++6",)),
    "libtinfo": Library("ncurses", _NCURSES, ("libtinfo6",)),
    "libtirpc": Library("libtirpc", "BSD-3-Clause"),
    "libuuid": Library("util-linux", "BSD-3-Clause", ("util-linux",)),
    "libz": Library("zlib", "Zlib", ("zlib",)),
    "libzstd": Library("zstd", "BSD-3-Clause OR GPL-2.0-only"),
}
"""The libraries that a frozen Python may load, by the start of their file names. Sources: the projects' licences."""


@dataclass(frozen=True)
class Package:
    """The package of a library: its version, its package URL, and its licence texts."""

    version: str
    purl: str
    texts: tuple[str, ...]


class Packages(Protocol):
    """The packages of a system, which its libraries come from."""

    def find(self, file: str, names: tuple[str, ...]) -> Package | None:
        """Return the package of a library by its file name or one of these package names, or None if there is none."""

    def linked_into(self, modules: set[str]) -> tuple[Credit, ...]:
        """Return the credits of libraries that are linked statically into these extension modules, as far as known."""


@dataclass(frozen=True)
class InstalledPackages:
    """The packages of this machine if it runs Debian or Ubuntu; otherwise there are none."""

    env: Mapping[str, str]

    def find(self, file: str, names: tuple[str, ...]) -> Package | None:
        """Return the package that owns the file according to dpkg; the package names are not used."""
        del names
        try:
            owner = command.run(["dpkg-query", "-S", f"*/{file}"], env=self.env, check=False).stdout.split(":")[0]
            if not owner:
                return None
            version = command.run(["dpkg-query", "-W", "-f", "${Version}", owner], env=self.env).stdout
        except MissingToolError:
            return None
        texts = read_file(Path("/usr") / COPYRIGHT.format(owner))
        return Package(version, purl_of("deb/debian", owner, version), texts)

    def linked_into(self, modules: set[str]) -> tuple[Credit, ...]:
        """Return nothing, since it is unknown how this machine's Python was linked."""
        del modules
        return ()


def credit_native(
    files: Iterable[str], *, owned: Collection[str], python: Interpreter, packages: Packages
) -> tuple[Credit, ...]:
    """Return the credits of Python and of every library in a bundle, except for the files that distributions own.

    `owned` are names of files. Raise GateError with every library that is not in LIBRARIES.
    """
    names = sorted({PurePosixPath(file).name for file in files} - set(owned))
    known = {name: library for name in names if (library := _library(name))}
    unknown = [name for name in names if re.match(r"lib[^/]*\.(so|dylib)(\.|$)", name) and name not in known]
    if unknown:
        remedy = "add them to LIBRARIES in licensing/native.py, or exclude what needs them"
        raise GateError(f"the origin and licence of these libraries are unknown: {', '.join(unknown)}", remedy)
    found = [_credit(name, library, packages) for name, library in known.items() if library.project != "cpython"]
    found += packages.linked_into({name.split(".")[0] for name in names})
    return (_python(known, python, packages), *dict.fromkeys(found))


def _library(name: str) -> Library | None:
    found = (library for stem, library in LIBRARIES.items() if re.match(rf"{re.escape(stem)}[\d.]*\.(so|dylib)", name))
    return next(found, None)


def _credit(file: str, library: Library, packages: Packages) -> Credit:
    package = packages.find(file, library.packages) or Package("", purl_of("generic", library.project, ""), ())
    return Credit(library.project, package.version, library.licence, package.purl, package.texts)


def _python(known: Mapping[str, Library], python: Interpreter, packages: Packages) -> Credit:
    """Return the credit of Python itself: of its package, or else of its version with the licence in its library."""
    own = LIBRARIES["libpython"]
    file = next((name for name in known if known[name] == own), "")
    if file and packages.find(file, own.packages):
        return _credit(file, own, packages)
    folder = f"python{'.'.join(python.version.split('.')[:2])}"
    texts = read_file(Path(python.executable).parents[1] / "lib" / folder / "LICENSE.txt")
    return Credit(own.project, python.version, own.licence, purl_of("generic", own.project, python.version), texts)
