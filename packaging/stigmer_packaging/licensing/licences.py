"""Licences: identifying texts, parsing what packages declare, and comparing texts regardless of line breaks.

Source of the names: the SPDX licence list.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from stigmer_packaging.binaries.buildinfo import BuildInfo
from stigmer_packaging.records.model import Credits, Ingredient, OmittedModule

NOASSERTION = "NOASSERTION"
"""SPDX's value for information that is not stated."""

_FILE = re.compile(
    r"(un)?licen[cs]es?([-_. ].*)?|copying([-_.].*)?|notices?([-_.].*)?|copyright(\.txt)?|patents", re.IGNORECASE
)
_CODE = {".go", ".html", ".js", ".json", ".py", ".sh", ".tmpl", ".toml", ".tpl", ".yaml", ".yml"}

# Patterns that match only one licence, or the notice that applies it; the text is lowercase and has no line breaks.
_PATTERNS = (
    ("Apache-2.0", r"apache license,? version 2\.0"),
    ("MPL-2.0", r"mozilla public license,? version 2\.0"),
    ("BSD-3-Clause", r"redistributions of source code must retain(?=.*(endorse or promote|promote products))"),
    ("BSD-2-Clause", r"redistributions of source code must retain(?!.*(endorse or promote|promote products))"),
    ("ISC", r"permission to use, copy, modify,? (and/or|and) distribute this software for any purpose with or without fee"),
    ("MIT", r"permission is hereby granted, free of charge, to any person.*this permission notice shall be included"),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
    ("PSF-2.0", r"python software foundation license version 2"),
    ("Zlib", r"altered source versions must be plainly marked as such"),
)  # fmt: skip
_INFORMAL_NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "new bsd license": "BSD-3-Clause",
    "python software foundation license": "PSF-2.0",
}


@dataclass(frozen=True)
class Credit:
    """One ingredient with its full licence texts; `licence` is an SPDX expression or NOASSERTION."""

    name: str
    version: str
    licence: str
    purl: str
    texts: tuple[str, ...] = ()


CreditGo = Callable[[BuildInfo], Sequence[Credit]]
"""Returns the credits of a Go program."""


def credits_of(
    part: str, version: str, licence: str, target: str, found: Sequence[Credit], omitted: tuple[OmittedModule, ...] = ()
) -> Credits:
    """Return the record of a part's ingredients, sorted, with each licence text once; `licence` is the part's own."""
    named = {(each.name, each.version, each.purl): each for each in found}
    ingredients = tuple(
        Ingredient(name, version, each.licence, purl, tuple(dict.fromkeys(map(key_of, each.texts))))
        for (name, version, purl), each in sorted(named.items())
    )
    every = sorted({text for credit in found for text in credit.texts}, reverse=True)
    texts = {key_of(text): text for text in every}  # of texts with the same key, the first one in sort order
    return Credits(part, version, licence, target, ingredients, dict(sorted(texts.items())), omitted)


def purl_of(kind: str, name: str, version: str) -> str:
    """Return a package URL such as `pkg:pypi/attrs@26.1.0`, without a version if that is empty."""
    return f"pkg:{kind}/{quote(name, safe='/')}" + (f"@{quote(version, safe=':~')}" if version else "")


def is_licence_file(path: str) -> bool:
    """Return whether a file with this name is a licence, or a notice that accompanies one."""
    file = PurePosixPath(path)
    return bool(_FILE.fullmatch(file.name)) and file.suffix not in _CODE


def read_text(content: bytes) -> str:
    """Decode a licence text, with normalized line endings and without trailing whitespace."""
    lines = content.decode("utf-8-sig", errors="replace").replace("\f", "\n").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def read_file(path: Path) -> tuple[str, ...]:
    """Return a file's licence text, or an empty tuple if there is no such file."""
    return (read_text(path.read_bytes()),) if path.is_file() else ()


def key_of(text: str) -> str:
    """Return a text's sha256 as its key, which is the same for texts that differ only in whitespace."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def identify(text: str) -> tuple[str, ...]:
    """Return the SPDX names of the licences that a text contains; none if no known licence matches."""
    joined = " ".join(text.lower().split())
    return tuple(name for name, pattern in _PATTERNS if re.search(pattern, joined))


def determine_licence(declared: Iterable[str], texts: Iterable[str]) -> str:
    """Return the SPDX expression of a package with these declared licences and licence texts.

    This is the first declaration that is a valid expression, or else all licences in its texts, or else NOASSERTION.
    """
    for declaration in declared:
        if expression := _expression(declaration):
            return expression
    found = sorted({name for text in texts for name in identify(text)})
    return " AND ".join(found) or NOASSERTION


def _expression(declaration: str) -> str:
    name = _INFORMAL_NAMES.get(declaration.strip().lower(), declaration.strip())
    try:
        return canonicalize_license_expression(name)
    except InvalidLicenseExpression:
        return ""
