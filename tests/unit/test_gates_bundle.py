"""A bundle that lacks a module which it imports is never published."""

import pytest

from stigmer_packaging.freeze.gates import check_modules
from stigmer_packaging.freeze.pyinstaller import MissingModule, parse_warnings
from stigmer_packaging.lib.errors import GateError

WARNINGS = """
This file lists modules PyInstaller was not able to find. This does not
* optional: imported within a try-except-statement

missing module named 'org.python' - imported by copy (optional)
excluded module named _hashlib - imported by hashlib (optional), random (delayed)
missing module named _winapi - imported by encodings (delayed, conditional, optional), subprocess (conditional)
excluded module named random - imported by tempfile (top-level), app.start, /stage/app/__main__.py (top-level)
excluded module named encodings.big5 - imported by encodings
"""


def missing(name: str, importer: str, *ways: str) -> MissingModule:
    return MissingModule(name, importers=((importer, frozenset(ways)),))


def test_what_pyinstaller_left_out_is_read() -> None:
    """Who imports what, and in which ways; the ways of one importer are not those of the next."""
    found = {module.name: module for module in parse_warnings(WARNINGS)}
    assert list(found) == ["org.python", "_hashlib", "_winapi", "random", "encodings.big5"]
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
