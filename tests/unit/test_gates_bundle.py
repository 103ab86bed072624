"""A bundle that would break, or that carries its build host along, is never published."""

from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.binaries.elf import Elf, read_elf
from stigmer_packaging.binaries.macho import read_machos
from stigmer_packaging.freeze.gates import (
    check_architecture,
    check_bundled,
    check_macos,
    check_modules,
    check_needed,
    check_paths,
    check_search,
)
from stigmer_packaging.freeze.pyinstaller import MissingModule, parse_warnings
from stigmer_packaging.lib.errors import GateError
from stigmer_packaging.lib.target import Target
from support import native_code
from support.native_code import macho

ROOT = Path("/bundle")
LINUX = Target("linux", "amd64")

WARNINGS = """
This file lists modules PyInstaller was not able to find. This does not
* optional: imported within a try-except-statement

missing module named 'org.python' - imported by copy (optional)
excluded module named _hashlib - imported by hashlib (optional), random (delayed)
missing module named _winapi - imported by encodings (delayed, conditional, optional), subprocess (conditional)
excluded module named random - imported by tempfile (top-level), app.start, /stage/app/__main__.py (top-level)
excluded module named encodings.big5 - imported by encodings
"""


def elf(name: str, **facts: object) -> tuple[Path, Elf]:
    return ROOT / name, replace(read_elf(native_code.elf()), **facts)  # type: ignore[arg-type]


def missing(name: str, importer: str, *ways: str) -> MissingModule:
    return MissingModule(name, excluded=True, importers=((importer, frozenset(ways)),))


def test_what_pyinstaller_left_out_is_read() -> None:
    """Who imports what, and in which ways; the ways of one importer are not those of the next."""
    found = {module.name: module for module in parse_warnings(WARNINGS)}
    assert list(found) == ["org.python", "_hashlib", "_winapi", "random", "encodings.big5"]
    assert not found["org.python"].excluded
    assert found["_hashlib"].importers == (("hashlib", frozenset({"optional"})), ("random", frozenset({"delayed"})))
    assert found["_winapi"].importers[0] == ("encodings", frozenset({"delayed", "conditional", "optional"}))
    assert found["random"].importers == (
        ("tempfile", frozenset()),
        ("app.start", frozenset()),
        ("/stage/app/__main__.py", frozenset()),
    )


def test_a_module_the_standard_library_cannot_do_without_is_named() -> None:
    """Excluding too much is an error of the build, not of the user's machine."""
    with pytest.raises(GateError, match="random, imported by tempfile"):
        check_modules(parse_warnings(WARNINGS), "app")


@pytest.mark.parametrize("way", ["optional", "conditional", "delayed"])
def test_the_standard_library_may_lack_what_it_imports_with_a_way_out(way: str) -> None:
    """It does so all the time."""
    check_modules([missing("lzma", "shutil", way)], "app")


def test_our_own_late_import_of_something_left_out_is_named() -> None:
    """The launcher imports late to be fast, not because it could do without."""
    with pytest.raises(GateError, match=r"json, imported by app\.status"):
        check_modules([missing("json", "app.status", "delayed")], "app")


@pytest.mark.parametrize("way", ["optional", "conditional"])
def test_our_own_import_behind_a_condition_may_lack(way: str) -> None:
    """What runs on another system only is left out on purpose."""
    check_modules([missing("app.darwin", "app.clone", "delayed", way)], "app")


def test_a_module_without_a_file_of_its_own_is_made_by_importing_its_package() -> None:
    """Python 3.13 has no collections/abc.py; the bundle's `collections` puts the module there."""
    check_modules([missing("collections.abc", "app.status")], "app")


def test_a_package_of_a_similar_name_is_not_ours() -> None:
    """`application` is not in `app`."""
    check_modules([missing("json", "application.status", "delayed")], "app")


def test_submodules_and_the_main_script_are_not_importers() -> None:
    """PyInstaller draws such edges without an import."""
    check_modules([missing("encodings.big5", "encodings"), missing("sre_parse", "/stage/app/__main__.py")], "app")


def test_a_search_path_of_the_build_host_is_named() -> None:
    """It would find something else, or nothing, on a user's machine."""
    with pytest.raises(GateError, match=r"lib/b\.so: /opt/python/lib"):
        check_search(
            [elf("lib/a.so", runpath=("$ORIGIN",)), elf("lib/b.so", runpath=("$ORIGIN", "/opt/python/lib"))], ROOT
        )
    check_search([elf("lib/a.so", runpath=("$ORIGIN/../x.libs",))], ROOT)


def test_a_file_for_a_newer_macos_than_promised_is_named() -> None:
    """Its machine's own Python or wheels came along."""
    machos = [(ROOT / f"lib/{number}.so", read_machos(macho(minimum=(number, 0)))[0]) for number in (11, 14, 15)]
    check_macos(machos[:2], ROOT, "14.0")
    with pytest.raises(GateError, match=r"newer macOS than 14\.0:\n  lib/15\.so: macOS 15\.0"):
        check_macos(machos, ROOT, "14.0")


def test_a_library_that_neither_the_bundle_nor_macos_has_is_named() -> None:
    """Without a word PyInstaller leaves out what it does not find; on a Mac the loader would say so first."""
    system, own = "/usr/lib/libSystem.B.dylib", "@rpath/libssl.3.dylib"
    machos = [(ROOT / "lib/_ssl.so", read_machos(macho(needed=(system, own)))[0])]
    with pytest.raises(GateError, match=r"@rpath/libssl\.3\.dylib, needed by lib/_ssl\.so"):
        check_bundled(machos, ROOT)
    check_bundled([*machos, (ROOT / "lib/libssl.3.dylib", read_machos(macho())[0])], ROOT)


def test_a_file_of_another_architecture_is_named() -> None:
    """One foreign wheel in the environment is enough."""
    with pytest.raises(GateError, match=r"not for amd64.*\n.*lib/b\.so: arm64"):
        check_architecture([elf("lib/a.so"), elf("lib/b.so", architecture="arm64")], ROOT, LINUX)
    check_architecture([elf("lib/a.so")], ROOT, LINUX)


def test_a_library_that_neither_the_bundle_nor_glibc_has_is_named() -> None:
    """A bundle breaks so on a system smaller than ours."""
    with pytest.raises(GateError, match=r"libz\.so\.1, needed by program"):
        check_needed([elf("program", needed=("libz.so.1", "libc.so.6"))], ROOT)
    check_needed([elf("program", needed=("libz.so.1", "libc.so.6")), elf("lib/libz.so.1")], ROOT)


def test_a_path_of_the_build_host_in_any_byte_is_named(tmp_path: Path) -> None:
    """Also where one piece of reading ends and the next begins."""
    needle = tmp_path / "workspace"
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "split").write_bytes(bytes((1 << 22) - 5) + str(needle).encode() + b"/source/main.py")
    (bundle / "clean").write_bytes(b"source/main.py")
    with pytest.raises(GateError, match=f"split: {needle}") as refused:
        check_paths(bundle, [needle])
    assert "clean" not in str(refused.value)
    check_paths(bundle, [tmp_path / "elsewhere"])


def test_a_longer_name_that_only_begins_like_a_folder_is_no_finding(tmp_path: Path) -> None:
    """A checkout in `/src` builds in `/src/build`, and wheels hold their own builders' `/src/builder/main.rs`."""
    (tmp_path / "wheel.so").write_bytes(b"/src/builder/main.rs")
    check_paths(tmp_path, [Path("/src/build")])
