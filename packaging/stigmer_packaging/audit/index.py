"""The index and the checksums: every file is named, and what is named is there as it was released.

The format of the index is `stigmer_launcher.install.payload`'s. It is read here without that module: an audit that shared its
reader with the program could not see what both get wrong.
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

_ASSEMBLE = "make the keg with bottle.assemble, and change nothing in it after that"


class _Named(NamedTuple):
    size: int
    sha256: str
    executable: bool


class Component(NamedTuple):
    """What the index says of a component, as far as it has the form that it should have.

    `entry` is the program that is started, `sent` are the variables that it is sent, `files` are named by their paths.
    """

    name: str
    entry: str
    sent: tuple[str, ...]
    files: Mapping[str, _Named]


def read_components(subject: Subject) -> list[Component]:
    """Give what the index says of each component, nothing when there is no index that can be read."""
    return [_component(part) for part in _list(_read(subject).get("components")) if isinstance(part, dict)]


def _component(part: Mapping[str, Any]) -> Component:
    rows = [row for row in _list(part.get("files")) if [type(value) for value in _list(row)] == [str, int, str, int]]
    files = {path: _Named(size, sha256, bool(mode & 0o100)) for path, size, sha256, mode in rows}
    sent = tuple(str(row[0]) for row in map(_list, _list(part.get("environment"))) if row)
    return Component(str(part.get("name")), str(part.get("entry")), sent, files)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _read(subject: Subject) -> Mapping[str, Any]:
    found = subject.contents.json_object(INDEX) or {}
    return found if found.get("format") == _FORMAT else {}


@check("index", "the launcher learns from it what to start", _ASSEMBLE)
def _index(subject: Subject) -> Iterator[Violation]:
    if not (index := _read(subject)):
        yield Violation(INDEX, f"missing, or not an index of format {_FORMAT}")
        return
    bottle = subject.bottle
    for name, expected in (("name", bottle.name), ("target", bottle.target), ("version", subject.release)):
        if index.get(name) != expected:
            yield Violation(INDEX, f"its {name} is {index.get(name)!r}, not {expected!r}")
    for part in read_components(subject):
        if part.entry not in part.files or not part.files[part.entry].executable:
            yield Violation(INDEX, f"{part.name} is started by {part.entry}, which is none of its programs")


@check("indexed-files", "the launcher copies, checks and heals just what is named", _ASSEMBLE)
def _indexed_files(subject: Subject) -> Iterator[Violation]:
    if not _read(subject):
        return
    named: dict[str, _Named] = {}
    for part in read_components(subject):
        twice = named.keys() & part.files.keys()
        yield from (Violation(COMPONENTS + path, "two components own it") for path in sorted(twice))
        named |= part.files
    paths = subject.contents.paths.items()
    present = {path for path, entry in paths if path.startswith(COMPONENTS) and entry.kind != FOLDER}
    expected = {COMPONENTS + path: entry for path, entry in named.items()}
    yield from (Violation(path, "the index does not name it") for path in sorted(present - expected.keys()))
    for path, entry in expected.items():
        if seen := _difference(subject, path, entry):
            yield Violation(path, seen)


def _difference(subject: Subject, path: str, named: _Named) -> str:
    found = subject.contents.paths.get(path)
    if found is None or found.kind != FILE or found.content is None:
        return "the index names it, and it is not there"
    if (found.size, found.content.sha256) != (named.size, named.sha256):
        return f"its {found.size} bytes are not the {named.size} that the index names"
    if found.executable != named.executable:
        return f"the index says that it is {'' if named.executable else 'not '}executable"
    return ""


@check("checksums", "users check their keg with it", _ASSEMBLE)
def _checksums(subject: Subject) -> Iterator[Violation]:
    text = subject.contents.text(CHECKSUMS)
    if text is None:
        yield Violation(CHECKSUMS, "missing")
        return
    for line in text.splitlines():
        sha256, _, path = line.partition("  ")
        found = subject.contents.files.get(path)
        if found is None:
            yield Violation(path or CHECKSUMS, "the checksums name it, and it is not there")
        elif found.sha256 != sha256:
            yield Violation(path, "its sha256 is not the one in the checksums")


@check("unnamed-file", "nobody knows where it comes from", _ASSEMBLE)
def _unnamed(subject: Subject) -> Iterator[Violation]:
    listed = {line.partition("  ")[2] for line in (subject.contents.text(CHECKSUMS) or "").splitlines()}
    name = subject.bottle.name
    known = listed | {CHECKSUMS, INDEX, RECEIPT, f".brew/{name}.rb", service_path(name, subject.target)}
    for path in subject.contents.files:
        if path not in known and not path.startswith(COMPONENTS):
            yield Violation(path, "the checksums do not name it")
