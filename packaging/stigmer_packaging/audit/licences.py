"""Licences: our own at the top of the keg, and notices and a bill of materials that name all that is shipped with it.

What must be named is read from the bottle itself: the modules in its Go programs, and the distributions whose metadata
it holds; the rest of the frozen distributions the policy names.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.audit.index import read_components
from stigmer_packaging.manifest.naming import notices_path, sbom_path

_TEXTS = "\nLICENCE TEXTS\n"  # the line after which the notices name nothing more
_UNKNOWN = "-"


@check("licence", "nobody may use what has none", "put LICENSE at the top of the keg")
def _licence(subject: Subject) -> Iterator[Violation]:
    if not any(path.split(".")[0] in {"LICENSE", "LICENCE", "COPYING"} for path in subject.contents.files):
        yield Violation("LICENSE", "missing")


@check(
    "notices",
    "most licences of what is shipped ask that they be given to whoever receives it",
    "write the notices anew from the credits of what is shipped",
)
def _notices(subject: Subject) -> Iterator[Violation]:
    path = notices_path(subject.bottle.name)
    text = subject.contents.text(path)
    if text is None:
        yield Violation(path, "missing")
        return
    named = _named(text)
    known = named | {each.partition(" ")[0] for each in named}
    components = [part.name for part in read_components(subject)]
    wanted = (*components, *subject.policy.noticed, *_linked(subject), *_installed(subject))
    yield from (Violation(path, f"it does not name {name}") for name in dict.fromkeys(wanted) if name not in known)


def _named(text: str) -> set[str]:
    """Read which parts and ingredients the notices name, as `NAME VERSION`: each has a line, with its licence."""
    lines = text.partition(_TEXTS)[0].splitlines()
    found = (re.fullmatch(r" *(\S+ \S+) \(.+\)( \[\d+\])*", line) for line in lines)
    return {match[1] for match in found if match}


def _linked(subject: Subject) -> Iterator[str]:
    """Name Go and the modules that its programs say are in them; a main module without a version is ours."""
    for content in subject.contents.files.values():
        if content.go:
            yield f"go {content.go.go}"
            own = () if content.go.main.version in {"", "(devel)"} else (content.go.main,)
            yield from (f"{module.path} {module.version}" for module in (*own, *content.go.modules))


def _installed(subject: Subject) -> Iterator[str]:
    """Name the distributions whose metadata is there. Source: the folder's name in Python's binary distributions."""
    folders = {part for path in subject.contents.files for part in PurePosixPath(path).parts[:-1]}
    for folder in sorted(folders):
        if match := re.fullmatch(r"([^-]+)-([^-]+)\.dist-info", folder):
            yield f"{canonicalize_name(match[1])} {match[2]}"


@check("sbom", "those who look for a vulnerable library believe it", "write it and the notices from the same credits")
def _sbom(subject: Subject) -> Iterator[Violation]:
    """Find what the notices name and the bill of materials does not, and the other way round."""
    path, notices = sbom_path(subject.bottle.name), notices_path(subject.bottle.name)
    try:
        listed = subject.contents.json_object(path) or {}
        packages = {f"{each['name']} {each.get('versionInfo', _UNKNOWN)}" for each in listed["packages"]}
        version = listed["spdxVersion"]
    except (TypeError, KeyError, AttributeError):
        yield Violation(path, "missing, or no bill of materials in SPDX 2.3")
        return
    if version != "SPDX-2.3":
        yield Violation(path, f"it is {version}, not SPDX-2.3")
    if subject.policy.sbom_sha256 not in {"", subject.contents.files[path].sha256}:
        yield Violation(path, "it is not the one that is released beside the bottle")
    named = _named(subject.contents.text(notices) or "")
    own = {f"{subject.bottle.name} {subject.release}"}
    yield from (Violation(path, f"it does not name {missing}") for missing in sorted(named - packages))
    for missing in sorted(packages - named - own):
        yield Violation(notices, f"they do not name {missing}, which {path} does")
