"""C libraries in a frozen bundle: credited with their packages, and refused if they are unknown."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.lib.interpreter import Interpreter
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.licences import Credit
from stigmer_packaging.licensing.native import LIBRARIES, InstalledPackages, Package, credit_native
from support.native_code import place

PYTHON = Interpreter("/nowhere/bin/python3.13", "3.13.5", Target("linux", "amd64"), "", "x")


@dataclass(frozen=True)
class FakePackages:
    """Packages of a system that has only that of zlib."""

    def find(self, file: str, names: tuple[str, ...]) -> Package | None:
        """Return the package of zlib, and None for any other library."""
        known = file.startswith("libz.") and "zlib" in names
        return Package("1:1.3", "pkg:deb/debian/zlib@1:1.3", ("as it is\n",)) if known else None

    def linked_into(self, modules: set[str]) -> tuple[Credit, ...]:
        """Return expat's credit if pyexpat is among the modules."""
        return (Credit("expat", "2.7", "MIT", "pkg:deb/debian/expat@2.7"),) if "pyexpat" in modules else ()


def credit(*files: str, owned: tuple[str, ...] = (), python: Interpreter = PYTHON) -> tuple[Credit, ...]:
    return credit_native(files, owned=owned, python=python, packages=FakePackages())


def test_a_library_is_credited_with_its_package_and_python_with_its_version() -> None:
    found = credit("agent.lib/libz.so.1", "agent.lib/libpython3.13.so.1.0", "agent", "agent.lib/module.so")
    assert found == (
        Credit("cpython", "3.13.5", "Python-2.0.1", "pkg:generic/cpython@3.13.5"),
        Credit("zlib", "1:1.3", "Zlib", "pkg:deb/debian/zlib@1:1.3", ("as it is\n",)),
    )


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("lib/libssl.so.3", "lib/libcrypto.so.3"), ["cpython", "openssl"]),
        (("lib/pyexpat.cpython-313-darwin.so",), ["cpython", "expat"]),
    ],
    ids=["two of one project", "linked into a module"],
)
def test_a_project_is_credited_once(files: tuple[str, ...], names: list[str]) -> None:
    assert [each.name for each in credit(*files)] == names


def test_a_library_that_a_wheel_brings_is_not_credited_here() -> None:
    found = credit("lib/libgomp-a34b.so.1", owned=("libgomp-a34b.so.1",))
    assert [each.name for each in found] == ["cpython"]


@pytest.mark.parametrize("file", ["lib/libgomp.so.1", "lib/libunknown.so.1", "lib/libfoo.2.dylib"])
def test_an_unknown_library_stops_the_release(file: str) -> None:
    with pytest.raises(GateError, match=f"libraries are unknown: .*{Path(file).name}"):
        credit("lib/libz.so.1", file)


@pytest.mark.parametrize(
    "name", ["libz.1.dylib", "libssl.3.dylib", "libsqlite3.so.0", "libbz2.so.1.0", "libstdc++.so.6", "libzstd.so.1"]
)
def test_libraries_are_recognised_by_their_linux_and_macos_names(name: str) -> None:
    (_, found) = credit(f"lib/{name}")
    assert found.name in {library.project for library in LIBRARIES.values()}


def test_the_licence_of_an_unpackaged_python_is_in_its_library_folder(tmp_path: Path) -> None:
    (tmp_path / "lib/python3.13").mkdir(parents=True)
    (tmp_path / "lib/python3.13/LICENSE.txt").write_text("PSF\n", encoding="utf-8")
    python = Interpreter(str(tmp_path / "bin/python3.13"), "3.13.5", Target("darwin", "arm64"), "", "x")
    assert credit(python=python)[0].texts == ("PSF\n",)


def test_packages_are_looked_up_with_dpkg_if_it_is_installed(tmp_path: Path) -> None:
    """The fake answers in the format of dpkg-query: `package:arch: path`, and the version."""
    assert InstalledPackages({"PATH": str(tmp_path)}).find("libz.so.1", ()) is None
    script = b'#!/bin/sh\n[ "$1" = -W ] && printf 1:1.3 || echo "zlib1g:amd64: /lib/libz.so.1"\n'
    place(tmp_path / "dpkg-query", script)
    found = InstalledPackages({"PATH": str(tmp_path)}).find("libz.so.1", ())
    assert found is not None
    assert (found.version, found.purl) == ("1:1.3", "pkg:deb/debian/zlib1g@1:1.3")
