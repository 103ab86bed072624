"""The types of a check and of its input, and the function that runs all checks."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stigmer_packaging.audit.contents import Contents
from stigmer_packaging.lib.target import Target, parse_target
from stigmer_packaging.records.model import Finding, ReleaseFile

ERROR, WARNING, INFORMATION = "error", "warning", "information"
SEVERITIES = (ERROR, WARNING, INFORMATION)


class Violation(NamedTuple):
    """Where a check is violated (a path below the keg, empty for the bottle as a whole), and what was found there."""

    path: str
    observation: str


@dataclass(frozen=True)
class Policy:
    """Requirements on one bottle in addition to those on every bottle.

    `forbidden` are absolute directories of the build machines, whose paths no file may contain; `tolerated` are
    directories inside them whose paths are allowed, such as that of a Python that was not built for shipping.
    `glibc_floor` (such as `2.31`) and `macos_minimum` (such as `14.0`) are empty, and `size_budget` (in bytes) is 0, if
    there is no such limit. `required_notices` are the names that the third-party notices must contain besides those
    found in the bottle itself. `sbom_sha256` is the checksum of the bill of materials released beside the bottle, empty
    if there is none. Errors of the checks in `lenient` are warnings for this bottle, for example when it is built for
    the build machine only. `optional` maps each component to the variables that it is passed but need not read.
    """

    forbidden: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    glibc_floor: str = ""
    macos_minimum: str = ""
    size_budget: int = 0
    required_notices: tuple[str, ...] = ()
    lenient: tuple[str, ...] = ()
    sbom_sha256: str = ""
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """The input of a check."""

    bottle: ReleaseFile
    contents: Contents
    policy: Policy

    @property
    def target(self) -> Target:
        """The platform the bottle is for."""
        return parse_target(self.bottle.target)

    @property
    def release(self) -> str:
        """The version without the formula's revision, `2.0.0` for `2.0.0_1`."""
        return re.sub(r"_\d+$", "", self.bottle.version)


Find = Callable[[Subject], Iterable[Violation]]


@dataclass(frozen=True)
class Check:
    """One requirement: why it matters, how to fix a violation, and the function that finds the violations."""

    name: str
    severity: str
    reason: str
    remedy: str
    find: Find


def check(name: str, reason: str, remedy: str, *, severity: str = ERROR) -> Callable[[Find], Check]:
    """Turn a function that finds violations into a check."""
    return lambda find: Check(name, severity, reason, remedy, find)


def run_checks(checks: Sequence[Check], subject: Subject) -> tuple[Finding, ...]:
    """Return the findings of all checks, the most severe first, otherwise in the order of the checks."""
    found = [
        Finding(
            _severity(check, subject.policy),
            check.name,
            printable(path),
            printable(observation),
            check.reason,
            check.remedy,
        )
        for check in checks
        for path, observation in check.find(subject)
    ]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def printable(text: str) -> str:
    """Escape surrogates, such as those of a name that is not valid UTF-8, which cannot be printed."""
    return text.encode(errors="backslashreplace").decode()


def _severity(check: Check, policy: Policy) -> str:
    return WARNING if check.severity == ERROR and check.name in policy.lenient else check.severity
