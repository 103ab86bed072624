"""Licences: what a text is, what a package says of itself, and texts that differ by nothing but their lines.

Source of the names: the SPDX licence list.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

NOASSERTION = "NOASSERTION"
"""SPDX's word for what nobody has said."""

_FILE = re.compile(
    r"(un)?licen[cs]es?([-_. ].*)?|copying([-_.].*)?|notices?([-_.].*)?|copyright(\.txt)?|patents", re.IGNORECASE
)
_CODE = {".go", ".html", ".js", ".json", ".py", ".sh", ".tmpl", ".toml", ".tpl", ".yaml", ".yml"}

# Words that stand in a licence itself, or in what grants it, and in no other; the text in lower case, its lines joined.
_SIGNS = (
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
_SPOKEN = {
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
    """One ingredient with its licence texts in full; `licence` is an SPDX expression or NOASSERTION."""

    name: str
    version: str
    licence: str
    purl: str
    texts: tuple[str, ...] = ()


def purl_of(kind: str, name: str, version: str) -> str:
    """Give a package's URL, such as `pkg:pypi/attrs@26.1.0`; without a version when that is not known."""
    return f"pkg:{kind}/{quote(name, safe='/')}" + (f"@{quote(version, safe=':~')}" if version else "")


def is_licence_file(path: str) -> bool:
    """Tell whether a file of this name is a licence, or a notice that goes with one."""
    file = PurePosixPath(path)
    return bool(_FILE.fullmatch(file.name)) and file.suffix not in _CODE


def read_text(content: bytes) -> str:
    """Give a licence's text with plain line ends and nothing at the ends of its lines."""
    lines = content.decode("utf-8-sig", errors="replace").replace("\f", "\n").splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n") + "\n"


def read_file(path: Path) -> tuple[str, ...]:
    """Give the licence's text that a file has, nothing when there is no such file."""
    return (read_text(path.read_bytes()),) if path.is_file() else ()


def key_of(text: str) -> str:
    """Give the sha256 by which a text is known: the same for texts that are only broken into lines otherwise."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def identify(text: str) -> tuple[str, ...]:
    """Name the licences that a text is, by the SPDX list; nothing when it is none that is known here."""
    joined = " ".join(text.lower().split())
    return tuple(name for name, sign in _SIGNS if re.search(sign, joined))


def conclude(declared: Iterable[str], texts: Iterable[str]) -> str:
    """Give the SPDX expression of a package that says `declared` of itself and carries these texts.

    The first of its own words that is one, else all licences that its texts are, else NOASSERTION.
    """
    for words in declared:
        if expression := _expression(words):
            return expression
    found = sorted({name for text in texts for name in identify(text)})
    return " AND ".join(found) or NOASSERTION


def _expression(words: str) -> str:
    plain = _SPOKEN.get(words.strip().lower(), words.strip())
    try:
        return canonicalize_license_expression(plain)
    except InvalidLicenseExpression:
        return ""
