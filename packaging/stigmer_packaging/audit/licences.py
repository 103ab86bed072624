"""Checks of licences: ours at the top of the keg, and notices and a bill of materials that name everything shipped.

What they must name is read from the bottle itself, namely the modules in its Go programs and the distributions whose
metadata it contains, and from the policy, which names the other frozen distributions.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from packaging.utils import canonicalize_name

from stigmer_packaging.audit.check import Subject, Violation, check
from stigmer_packaging.audit.index import read_components
from stigmer_packaging.manifest.naming import notices_path, sbom_path

_TEXTS = "\nLICENCE TEXTS\n"  # the heading after the list of names in the notices
_UNKNOWN = "-"


@check("licence", "without a licence nobody may use the software", "put LICENSE at the top of the keg")
def _licence(subject: Subject) -> Iterator[Violation]:
    if not any(path.split(".")[0] in {"LICENSE", "LICENCE", "COPYING"} for path in subject.contents.files):
        yield Violation("LICENSE", "missing")


@check(
    "notices",
    "most licences of the bundled software require their text to be passed on to its users",
    "regenerate the notices from the credits of what is shipped",
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
    required = (*components, *subject.policy.required_notices, *_linked(subject), *_installed(subject))
    yield from (Violation(path, f"does not name {name}") for name in dict.fromkeys(required) if name not in known)


def _named(text: str) -> set[str]:
    """Return the parts and ingredients that the notices name, as `NAME VERSION`; each has a line with its licence."""
    lines = text.partition(_TEXTS)[0].splitlines()
    found = (re.fullmatch(r" *(\S+ \S+) \(.+\)( \[\d+\])*", line) for line in lines)
    return {match[1] for match in found if match}


def _linked(subject: Subject) -> Iterator[str]:
    """Yield Go and the modules that Go programs list as linked in; a main module without a version is ours."""
    for content in subject.contents.files.values():
        if content.go:
            yield f"go {content.go.go}"
            own = () if content.go.main.version in {"", "(devel)"} else (content.go.main,)
            yield from (f"{module.path} {module.version}" for module in (*own, *content.go.modules))


def _installed(subject: Subject) -> Iterator[str]:
    """Yield the distributions whose metadata is in the keg. Source: the name of a `.dist-info` directory in wheels."""
    folders = {part for path in subject.contents.files for part in PurePosixPath(path).parts[:-1]}
    for folder in sorted(folders):
        if match := re.fullmatch(r"([^-]+)-([^-]+)\.dist-info", folder):
            yield f"{canonicalize_name(match[1])} {match[2]}"


@check("sbom", "searches for vulnerable libraries rely on it", "generate it and the notices from the same credits")
def _sbom(subject: Subject) -> Iterator[Violation]:
    """Find the names that only the notices or only the bill of materials contains."""
    path, notices = sbom_path(subject.bottle.name), notices_path(subject.bottle.name)
    try:
        listed = subject.contents.json_object(path) or {}
        packages = {f"{each['name']} {each.get('versionInfo', _UNKNOWN)}" for each in listed["packages"]}
        version = listed["spdxVersion"]
    except (TypeError, KeyError, AttributeError):
        yield Violation(path, "missing, or not an SPDX 2.3 document")
        return
    if version != "SPDX-2.3":
        yield Violation(path, f"its version is {version}, not SPDX-2.3")
    if subject.policy.sbom_sha256 not in {"", subject.contents.files[path].sha256}:
        yield Violation(path, "differs from the one released beside the bottle")
    named = _named(subject.contents.text(notices) or "")
    own = {f"{subject.bottle.name} {subject.release}"}
    yield from (Violation(path, f"does not name {missing}") for missing in sorted(named - packages))
    for missing in sorted(packages - named - own):
        yield Violation(notices, f"does not name {missing}, which {path} names")
