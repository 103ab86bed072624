"""Checks of what brew reads in a poured keg: the receipt, the formula beside it, and placeholders to be replaced.

Source: Homebrew's `Tab` and its keg relocation. On Linux, brew honours `:any_skip_relocation` only if the receipt was
written by brew 5.1.15 or newer.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.manifest.naming import service_path

RECEIPT = "INSTALL_RECEIPT.json"
_SKIPS_RELOCATION = (5, 1, 15)
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}
_SYSTEMS = {"darwin": "Macintosh", "linux": "Linux"}
_PLACEHOLDER = re.compile(r"@@HOMEBREW_[A-Z]+@@")


@check(
    "receipt",
    "brew relies on it, and cannot tell without it where the keg came from",
    "write it with receipt.render_receipt",
)
def _fields(subject: Subject) -> Iterator[Violation]:
    if (receipt := subject.contents.json_object(RECEIPT)) is None:
        yield Violation(RECEIPT, "missing" if RECEIPT not in subject.contents.files else "not a JSON object")
        return
    target, source, built_on = subject.target, _part(receipt, "source"), _part(receipt, "built_on")
    expected = {
        "built_as_bottle": (receipt.get("built_as_bottle"), True),
        "arch": (receipt.get("arch"), _ARCHITECTURES[target.architecture]),
        "source.spec": (source.get("spec"), "stable"),
        "source.versions.stable": (_part(source, "versions").get("stable"), subject.release),
        "built_on.os": (built_on.get("os"), _SYSTEMS[target.system]),
    }
    yield from (
        Violation(RECEIPT, f"{name} is {json.dumps(found)}, not {json.dumps(wanted)}")
        for name, (found, wanted) in expected.items()
        if found != wanted
    )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source.get("tap"))):
        yield Violation(RECEIPT, f"source.tap is {json.dumps(source.get('tap'))}, not owner/name")


@check(
    "receipt-version",
    "brew rewrites the binaries of bottles built by a brew older than 5.1.15, so their checksums no longer match",
    "set homebrew_version to 5.1.15 or newer",
)
def _version(subject: Subject) -> Iterator[Violation]:
    if (receipt := subject.contents.json_object(RECEIPT)) is None:
        return
    version = str(receipt.get("homebrew_version"))
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    if not numbers or tuple(map(int, numbers[0].split("."))) < _SKIPS_RELOCATION:
        yield Violation(RECEIPT, f"homebrew_version is {version}")


@check(
    "changed-files",
    "brew replaces placeholders only in the files listed there",
    "list the files that contain placeholders, or [] if there are none",
)
def _changed_files(subject: Subject) -> Iterator[Violation]:
    if (receipt := subject.contents.json_object(RECEIPT)) is None:
        return
    if (listed := _changed_files_of(receipt)) is None:
        found = json.dumps(receipt.get("changed_files"))
        yield Violation(RECEIPT, f"changed_files is {found}, so brew searches every text file")
    absent = (name for name in listed or () if name not in subject.contents.files)
    yield from (Violation(RECEIPT, f"changed_files lists {name}, which does not exist") for name in absent)


def _changed_files_of(receipt: dict[str, Any]) -> list[str] | None:
    """Return the files in which brew replaces placeholders, or None if the receipt has no list of names."""
    listed = receipt.get("changed_files")
    return listed if isinstance(listed, list) and all(isinstance(name, str) for name in listed) else None


@check(
    "placeholder",
    "brew replaces it, and the file differs from the released one; or it does not, and the file is useless",
    "remove the placeholder, or list the file in the receipt's changed_files",
)
def _placeholders(subject: Subject) -> Iterator[Violation]:
    receipt = subject.contents.json_object(RECEIPT) or {}
    exempt = {RECEIPT, f".brew/{subject.bottle.name}.rb", *(_changed_files_of(receipt) or ())}
    for path in sorted(subject.contents.files.keys() - exempt):
        if found := _PLACEHOLDER.search(subject.contents.text(path) or ""):
            yield Violation(path, f"contains {found[0]}")


@check(
    "service-definition",
    "the formula contains only its name, so without it `brew services` has nothing to start",
    "build the keg with bottle.assemble",
)
def _service(subject: Subject) -> Iterator[Violation]:
    path = service_path(subject.bottle.name, subject.target)
    if path not in subject.contents.files:
        yield Violation(path, "missing")


@check(
    "keg-formula",
    "brew reads it when the tap is gone; a bottle block in it would describe this bottle itself",
    "put the formula there, without its bottle block",
)
def _formula(subject: Subject) -> Iterator[Violation]:
    path = f".brew/{subject.bottle.name}.rb"
    text = subject.contents.text(path)
    if text is None:
        yield Violation(path, "missing")
    elif re.search(r"^\s*bottle do\b", text, re.MULTILINE):
        yield Violation(path, "contains a bottle block")


def _part(receipt: dict[str, Any], name: str) -> dict[str, Any]:
    part = receipt.get(name)
    return part if isinstance(part, dict) else {}
