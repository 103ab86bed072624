"""A bundle that lacks a module it imports is refused."""

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


def missing(name: str, importer: str, *kinds: str) -> MissingImport:
    return MissingImport(name, importer, frozenset(kinds))


def test_the_warnings_of_pyinstaller_are_parsed() -> None:
    """Each importer has its own kinds of import, which must not be mixed up with those of the next importer."""
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
    ("module", "importer", "kinds"),
    [("random", "tempfile", ()), ("json", "app.status", ("delayed",))],
    ids=["required by the standard library", "delayed import of the launcher"],
)
def test_a_missing_module_that_is_imported_unconditionally_is_refused(
    module: str, importer: str, kinds: tuple[str, ...]
) -> None:
    """The launcher delays imports to start faster; it still needs these modules."""
    with pytest.raises(GateError, match=f"{module}, imported by {importer}"):
        check_modules([missing(module, importer, *kinds)], "app")


@pytest.mark.parametrize(
    ("module", "importer", "kinds"),
    [
        *(
            ("lzma", "shutil", (kind,)) for kind in ("optional", "conditional", "delayed")
        ),  # usual in the standard library
        *(("app.darwin", "app.clone", ("delayed", kind)) for kind in ("optional", "conditional")),
        ("collections.abc", "app.status", ()),  # no file since Python 3.13: `collections` creates it
        ("json", "application.status", ("delayed",)),  # not in the package `app`
        ("encodings.big5", "encodings", ()),  # PyInstaller adds these two edges without an import
        ("sre_parse", "/stage/app/__main__.py", ()),
    ],
)
def test_a_missing_module_that_is_imported_optionally_is_accepted(
    module: str, importer: str, kinds: tuple[str, ...]
) -> None:
    check_modules([missing(module, importer, *kinds)], "app")
