"""Frozen records that pass through the pipeline; each is written by its stage, together with its artefact.

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
class OmittedModule:
    """A module that two distributions install: `distribution`'s files of it are left out, `owner`'s are shipped."""

    module: str
    distribution: str
    version: str
    owner: str

    def __str__(self) -> str:
        return f"the module {self.module} of {self.distribution} {self.version} is left out; {self.owner}'s is shipped"


@dataclass(frozen=True)
class BuiltPart:
    """One component, or the launcher, for one target: a directory with `entry` and every file it needs.

    `root` is relative to the workspace; `files` are relative to `root`; `entry` is one of them. `omitted` lists the
    modules that several distributions install and that were frozen from one of them.
    """

    component: str
    version: str
    target: str
    root: str
    entry: str
    files: tuple[FileRecord, ...]
    omitted: tuple[OmittedModule, ...] = ()


@dataclass(frozen=True)
class Ingredient:
    """A third-party part of what we ship: a Go module, a Python distribution, a crate, a library.

    `licence` is an SPDX expression or NOASSERTION, `purl` its package URL; `texts` are the keys of its licence texts,
    empty if its source has none.
    """

    name: str
    version: str
    licence: str
    purl: str
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Credits:
    """The ingredients of one part, sorted, and the licence texts by key. `licence` is the part's own.

    `omitted` lists modules of its ingredients that it does not contain.
    """

    part: str
    version: str
    licence: str
    target: str
    ingredients: tuple[Ingredient, ...]
    texts: Mapping[str, str]
    omitted: tuple[OmittedModule, ...] = ()


@dataclass(frozen=True)
class Keg:
    """The keg's tree below `root`: exactly what pouring puts into the Cellar (without the NAME/VERSION prefix)."""

    name: str
    version: str
    target: str
    root: str
    files: tuple[FileRecord, ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release of `name` and `version`: `path` relative to the workspace, size in bytes, sha256 in hex.

    `kind` is `bottle`, `source` (the platform-neutral archive that the formula's `url` names), `formula`, `sbom` (SPDX
    2.3 as JSON), `archive` (the tree without Homebrew) or `program` (the single file that unpacks itself). `target` is
    empty for a file for all platforms; only a bottle, named as brew downloads it, has `tag` and `rebuild`.
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
    """One step of a verification: its name, whether it passed, its duration in seconds, and what was observed."""

    name: str
    passed: bool
    seconds: float
    detail: str


@dataclass(frozen=True)
class VerificationReport:
    """A guest's report on one bottle. It passed only if the guest ended by itself and every check passed.

    `inputs` is the digest of bottle, machine and script, by which `verify` reuses a current report; empty for a
    report from elsewhere. `emulated` is whether it ran by emulation instead of on a processor of the bottle's
    architecture.
    """

    level: str
    guest: str
    bottle_sha256: str
    checks: tuple[Check, ...]
    ended: bool
    inputs: str = ""
    emulated: bool = False

    @property
    def passed(self) -> bool:
        """Whether it verifies the bottle: the run ended with at least one check, and all checks passed."""
        return self.ended and bool(self.checks) and all(check.passed for check in self.checks)


@dataclass(frozen=True)
class Finding:
    """A finding of an audit at one path of a bottle (empty: the bottle as a whole).

    `severity` is `error`, `warning` or `information`; `check`, the name of the check; `observation`, what is wrong;
    `reason`, why it matters; `remedy`, what to do.
    """

    severity: str
    check: str
    path: str
    observation: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class AuditReport:
    """The findings of an audit of one bottle.

    `files` is the number of files in it, `unpacked` their size in bytes, `largest` its largest files with their sizes,
    `glibc` the oldest version that all of them run on, such as `2.31` (empty if they need none).
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
        """Whether no finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)
