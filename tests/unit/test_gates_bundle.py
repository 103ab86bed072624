"""A bundle that lacks a module which it imports is never published."""

import pytest

from stigmer_packaging.freeze.gates import check_modules
from stigmer_packaging.freeze.pyinstaller import MissingImport, parse_warnings
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


def missing(name: str, importer: str, *ways: str) -> MissingImport:
    return MissingImport(name, importer, frozenset(ways))


def test_what_pyinstaller_left_out_is_read() -> None:
    """Who imports what, and in which ways; the ways of one importer are not those of the next."""
    assert list(parse_warnings(WARNINGS)) == [
        missing("org.python", "copy", "optional"),
        missing("_hashlib", "hashlib", "optional"),
        missing("_hashlib", "random", "delayed"),
        missing("_winapi", "encodings", "delayed", "conditional", "optional"),
        missing("_winapi", "subprocess", "conditional"),
        missing("random", "tempfile"),
        missing("random", "app.start"),
        missing("random", "/stage/app/__main__.py"),
        missing("encodings.big5", "encodings"),
    ]


@pytest.mark.parametrize(
    ("module", "importer", "ways"),
    [("random", "tempfile", ()), ("json", "app.status", ("delayed",))],
    ids=["what the standard library cannot do without", "our own late import"],
)
def test_a_bundle_that_lacks_what_is_imported_without_a_way_out_is_refused(
    module: str, importer: str, ways: tuple[str, ...]
) -> None:
    """The launcher imports late to be fast, not because it could do without."""
    with pytest.raises(GateError, match=f"{module}, imported by {importer}"):
        check_modules([missing(module, importer, *ways)], "app")


@pytest.mark.parametrize(
    ("module", "importer", "ways"),
    [
        *(("lzma", "shutil", (way,)) for way in ("optional", "conditional", "delayed")),  # the standard library's habit
        *(("app.darwin", "app.clone", ("delayed", way)) for way in ("optional", "conditional")),
        ("collections.abc", "app.status", ()),  # has no file since Python 3.13: the bundle's `collections` makes it
        ("json", "application.status", ("delayed",)),  # which is not in `app`
        ("encodings.big5", "encodings", ()),  # PyInstaller draws these two edges without an import
        ("sre_parse", "/stage/app/__main__.py", ()),
    ],
)
def test_a_bundle_may_lack_what_is_imported_with_a_way_out(module: str, importer: str, ways: tuple[str, ...]) -> None:
    check_modules([missing(module, importer, *ways)], "app")
