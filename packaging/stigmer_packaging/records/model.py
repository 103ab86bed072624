"""What flows through the pipeline: frozen records, each written once by its stage beside its artefact.

Paths in records are relative to the workspace.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FileRecord:
    """One file of an artefact: path relative to the artefact's root, size in bytes, sha256 in hex, permission bits."""

    path: str
    size: int
    sha256: str
    mode: int


@dataclass(frozen=True)
class LeftOut:
    """A module that two distributions install, and the distribution whose files of it are not shipped, for the owner's are."""

    module: str
    distribution: str
    version: str
    owner: str

    def __str__(self) -> str:
        return f"the module {self.module} of {self.distribution} {self.version} is left out; {self.owner}'s is shipped"


@dataclass(frozen=True)
class BuiltPart:
    """One component, or the launcher, for one target: a directory that holds `entry` and every file it needs beside it.

    `root` is relative to the workspace; `files` are relative to `root`; `entry` is one of them. `left_out` are the
    modules that were frozen from one of several distributions.
    """

    component: str
    version: str
    target: str
    root: str
    entry: str
    files: tuple[FileRecord, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Ingredient:
    """Something others made that is part of what we ship: a Go module, a Python distribution, a crate, a library.

    `licence` is an SPDX expression or NOASSERTION, `purl` its package URL; `texts` name its licence texts by their keys,
    none where its source carries none.
    """

    name: str
    version: str
    licence: str
    purl: str
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Credits:
    """What one part is made of: its ingredients, sorted, and the licence texts by their keys. `licence` is its own.

    `left_out` are the modules of its ingredients that it does not hold.
    """

    part: str
    version: str
    licence: str
    target: str
    ingredients: tuple[Ingredient, ...]
    texts: Mapping[str, str]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Keg:
    """The keg's tree below `root`, exactly what a pour puts into the Cellar (without the NAME/VERSION prefix)."""

    name: str
    version: str
    target: str
    root: str
    files: tuple[FileRecord, ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release of `name` and `version`: `path` relative to the workspace, size in bytes, sha256 in hex.

    `kind` is `bottle`, `source` (the platform-neutral archive that the formula's `url` names), `formula`, `sbom` (SPDX 2.3 as
    JSON), `archive` (the tree without Homebrew) or `program` (the single file that unpacks itself). `target` is empty where
    it is for all platforms; `tag` and `rebuild` are a bottle's, which is named as brew asks for it.
    """

    kind: str
    name: str
    version: str
    path: str
    size: int
    sha256: str
    target: str = ""
    tag: str = ""
    rebuild: int = 0


@dataclass(frozen=True)
class Check:
    """One step of a verification: its name, whether it passed, how long it took in seconds, and what was seen."""

    name: str
    passed: bool
    seconds: float
    detail: str


@dataclass(frozen=True)
class VerificationReport:
    """What a guest reported of one bottle. It passed only if the guest ended by itself and every check passed.

    `made_from` is the digest of bottle, machine and script, by which `verify` knows a report that it need not repeat; empty
    for one that came from elsewhere. `emulated` says that no processor of the bottle's kind ran it.
    """

    level: str
    guest: str
    bottle_sha256: str
    checks: tuple[Check, ...]
    ended: bool
    made_from: str = ""
    emulated: bool = False

    @property
    def passed(self) -> bool:
        """Whether this is proof: an ended run with at least one check, all passed."""
        return self.ended and bool(self.checks) and all(check.passed for check in self.checks)


@dataclass(frozen=True)
class Finding:
    """What an audit found at one path of a bottle (empty: the bottle as a whole).

    `severity` is `error`, `warning` or `information`; `check`, the name of the check; `seen`, the fact; `reason`, why it
    matters; `remedy`, what to do.
    """

    severity: str
    check: str
    path: str
    seen: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class AuditReport:
    """All that an audit found in one bottle.

    `files` is the number of files in it, `unpacked` their size in bytes, `largest` its largest files with their sizes,
    `glibc` the lowest version that all of it runs with, such as `2.31` (empty: it needs none).
    """

    target: str
    bottle_sha256: str
    findings: tuple[Finding, ...]
    files: int
    unpacked: int
    largest: tuple[tuple[str, int], ...]
    glibc: str

    @property
    def passed(self) -> bool:
        """Whether nothing that was found is an error."""
        return all(finding.severity != "error" for finding in self.findings)
