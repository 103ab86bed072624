"""Read what scripts/check-on-mac reports. Anybody may send such a file, so its size and its texts are bounded."""

import re
from pathlib import Path

from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.records.model import Check, VerificationReport
from stigmer_packaging.verify.guest_report import parse_report

LEVEL = "mac"
MOST_BYTES = 1_000_000

_FILE = re.compile(r"^# file: ([0-9a-f]{64}) ", re.MULTILINE)
_MACHINE = re.compile(r"^# machine: (.{1,200})$", re.MULTILINE)
_STRANGE = re.compile(r"[^A-Za-z0-9 .,:()+_-]")
"""What has no place in a machine's name: control characters, and what HTML or a terminal would interpret."""


def read_mac_report(path: Path) -> str:
    """Read a report's text; RecordError when it is too large to be one."""
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise RecordError(f"{path} is larger than {MOST_BYTES} bytes", _REMEDY)
    return content.decode("utf-8", "replace")


def parse_mac_report(text: str) -> tuple[VerificationReport, tuple[str, ...]]:
    """Read a report of a bottle, and the sha256 of the files it is of: the bottle and, where it was there, the single file.

    RecordError when it names no file or no machine.
    """
    files, machine = tuple(dict.fromkeys(_FILE.findall(text))), _MACHINE.search(text)
    if not files or not machine:
        raise RecordError("the report names no file or no machine", _REMEDY)
    found = parse_report(text, files[0])
    name, checks = _STRANGE.sub("?", machine[1]), tuple(map(_tidy, found.checks))
    return VerificationReport(LEVEL, name, files[0], checks, found.whole), files


def _tidy(check: Check) -> Check:
    name = re.sub(r"[^\x20-\x7e]", "?", check.name[:200])
    detail = check.detail[:10_000].encode("utf-8", "replace").decode("utf-8")
    return Check(name, check.passed, check.seconds, detail)


_REMEDY = "make the report on a Mac: scripts/check-on-mac FOLDER REPORT"
