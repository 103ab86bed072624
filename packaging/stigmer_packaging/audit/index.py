"""Checks of the index and the checksums: every file is listed, and every listed file is present and unchanged.

`stigmer_launcher.install.payload` defines the format of the index. The audit does not use that module, since a shared
reader would hide an error in it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.audit.contents import FILE, FOLDER
from stigmer_packaging.audit.receipt import RECEIPT
from stigmer_packaging.manifest.naming import service_path

INDEX = "libexec/payload.json"
CHECKSUMS = "libexec/SHA256SUMS"
COMPONENTS = "libexec/components/"
_FORMAT = 3

_ASSEMBLE = "build the keg with bottle.assemble, and change nothing in it afterwards"


class _IndexedFile(NamedTuple):
    size: int
    sha256: str
    executable: bool


class Component(NamedTuple):
    """A component as the index lists it, without rows that are malformed.

    `entry` is the program that the launcher starts, `variables` are the environment variables that it is passed, and
    `files` are its files by path.
    """

    name: str
    entry: str
    variables: tuple[str, ...]
    files: Mapping[str, _IndexedFile]


def read_components(subject: Subject) -> list[Component]:
    """Return the components that the index lists, or an empty list if there is no readable index."""
    return [_component(part) for part in _list(_read(subject).get("components")) if isinstance(part, dict)]


def _component(part: Mapping[str, Any]) -> Component:
    rows = [row for row in _list(part.get("files")) if [type(value) for value in _list(row)] == [str, int, str, int]]
    files = {path: _IndexedFile(size, sha256, bool(mode & 0o100)) for path, size, sha256, mode in rows}
    variables = tuple(str(row[0]) for row in map(_list, _list(part.get("environment"))) if row)
    return Component(str(part.get("name")), str(part.get("entry")), variables, files)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _read(subject: Subject) -> Mapping[str, Any]:
    index = subject.contents.json_object(INDEX) or {}
    return index if index.get("format") == _FORMAT else {}


@check("index", "the launcher reads from it which programs to start", _ASSEMBLE)
def _index(subject: Subject) -> Iterator[Violation]:
    if not (index := _read(subject)):
        yield Violation(INDEX, f"missing, or not an index of format {_FORMAT}")
        return
    bottle = subject.bottle
    for name, expected in (("name", bottle.name), ("target", bottle.target), ("version", subject.release)):
        if index.get(name) != expected:
            yield Violation(INDEX, f"{name} is {index.get(name)!r}, not {expected!r}")
    for part in read_components(subject):
        if part.entry not in part.files or not part.files[part.entry].executable:
            yield Violation(INDEX, f"the entry of {part.name} is {part.entry}, which is not one of its executables")


@check("indexed-files", "the launcher copies, checks and repairs only the files listed in the index", _ASSEMBLE)
def _indexed_files(subject: Subject) -> Iterator[Violation]:
    if not _read(subject):
        return
    indexed: dict[str, _IndexedFile] = {}
    for part in read_components(subject):
        twice = indexed.keys() & part.files.keys()
        yield from (Violation(COMPONENTS + path, "listed for two components") for path in sorted(twice))
        indexed |= part.files
    paths = subject.contents.paths.items()
    present = {path for path, entry in paths if path.startswith(COMPONENTS) and entry.kind != FOLDER}
    expected = {COMPONENTS + path: entry for path, entry in indexed.items()}
    yield from (Violation(path, "not listed in the index") for path in sorted(present - expected.keys()))
    for path, entry in expected.items():
        if difference := _difference(subject, path, entry):
            yield Violation(path, difference)


def _difference(subject: Subject, path: str, indexed: _IndexedFile) -> str:
    found = subject.contents.paths.get(path)
    if found is None or found.kind != FILE or found.content is None:
        return "listed in the index, but missing"
    if (found.size, found.content.sha256) != (indexed.size, indexed.sha256):
        return f"its content ({found.size} bytes) does not match the index ({indexed.size} bytes)"
    if found.executable != indexed.executable:
        return f"listed in the index as {'' if indexed.executable else 'not '}executable"
    return ""


@check("checksums", "users verify their keg with them", _ASSEMBLE)
def _checksums(subject: Subject) -> Iterator[Violation]:
    text = subject.contents.text(CHECKSUMS)
    if text is None:
        yield Violation(CHECKSUMS, "missing")
        return
    for line in text.splitlines():
        sha256, _, path = line.partition("  ")
        found = subject.contents.files.get(path)
        if found is None:
            yield Violation(path or CHECKSUMS, "listed in the checksums, but missing")
        elif found.sha256 != sha256:
            yield Violation(path, "its sha256 differs from the checksums")


@check("unnamed-file", "its origin is unknown", _ASSEMBLE)
def _unnamed(subject: Subject) -> Iterator[Violation]:
    listed = {line.partition("  ")[2] for line in (subject.contents.text(CHECKSUMS) or "").splitlines()}
    name = subject.bottle.name
    known = listed | {CHECKSUMS, INDEX, RECEIPT, f".brew/{name}.rb", service_path(name, subject.target)}
    for path in subject.contents.files:
        if path not in known and not path.startswith(COMPONENTS):
            yield Violation(path, "not listed in the checksums")
