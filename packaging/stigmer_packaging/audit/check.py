"""What a check is, what it is told, and how all of them are run."""

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
    """Where a check is violated (a path below the keg, empty for the bottle as a whole), and what is seen there."""

    path: str
    seen: str


@dataclass(frozen=True)
class Policy:
    """What is asked of one bottle besides what is asked of all.

    `forbidden` are absolute folders of the machines that built it, which no byte may name; `tolerated`, folders within
    them that may be named, such as that of a Python which was not made for shipping. `glibc_floor` is such as `2.31`,
    `macos_minimum` such as `14.0`, each empty when there is none; `size_budget`, in bytes, 0 when there is none. `noticed`
    are the names that the third-party notices must hold besides those that the bottle itself shows; `sbom_sha256` is what
    the bill of materials has that is released beside the bottle, empty when none is. `lenient` names checks whose errors are warnings for
    this bottle, as when it is made for the machine it was made on; `optional` are, by component, the variables that it is
    sent and need not read.
    """

    forbidden: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    glibc_floor: str = ""
    macos_minimum: str = ""
    size_budget: int = 0
    noticed: tuple[str, ...] = ()
    lenient: tuple[str, ...] = ()
    sbom_sha256: str = ""
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What a check looks at."""

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
    """One thing that must hold: why, what to do when it does not, and the function that finds where it does not."""

    name: str
    severity: str
    reason: str
    remedy: str
    find: Find


def check(name: str, reason: str, remedy: str, *, severity: str = ERROR) -> Callable[[Find], Check]:
    """Make a check of the function that finds where it is violated."""
    return lambda find: Check(name, severity, reason, remedy, find)


def run_checks(checks: Sequence[Check], subject: Subject) -> tuple[Finding, ...]:
    """Give the findings of all checks, the gravest first, else in the order of the checks."""
    found = [
        Finding(
            _severity(check, subject.policy), check.name, printable(path), printable(seen), check.reason, check.remedy
        )
        for check in checks
        for path, seen in check.find(subject)
    ]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def printable(text: str) -> str:
    """Write what is no character, such as a byte of a name that is not UTF-8, as an escape: nothing can print it."""
    return text.encode(errors="backslashreplace").decode()


def _severity(check: Check, policy: Policy) -> str:
    return WARNING if check.severity == ERROR and check.name in policy.lenient else check.severity
