"""Parses the report of verify-install: TAP 13 with a BEGIN and an END line that contain a nonce.

Source: https://testanything.org/tap-version-13-specification.html; each result has a YAML block with seconds and
detail. Anybody can send a report made with scripts/check-on-mac, so the size and the texts of such a file are limited.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.records.model import Check, VerificationReport

MAC = "mac"
"""The level of the reports of scripts/check-on-mac."""

MAX_BYTES = 1_000_000

_RESULT = re.compile(r"(?P<not>not )?ok (?P<number>\d{1,6}) - (?P<name>.*?)(?P<skip> # SKIP.*)?")
_SECONDS = re.compile(r"  seconds: (\d{1,9}(?:\.\d{1,9})?)")
_DETAIL = re.compile(r'  detail: (".*")')
_FILE = re.compile(r"^# file: ([0-9a-f]{64}) ", re.MULTILINE)
_MACHINE = re.compile(r"^# machine: (.{1,200})$", re.MULTILINE)
_STRANGE = re.compile(r"[^A-Za-z0-9 .,:()+_-]")
"""Characters that a machine's name must not contain: control characters, and what HTML or a terminal interprets."""

_REMEDY = "make the report on a Mac: scripts/check-on-mac FOLDER REPORT"


class GuestReport(NamedTuple):
    """The checks of a guest, and whether its report is complete: begun, numbered, counted and ended with our nonce."""

    checks: tuple[Check, ...]
    complete: bool


def parse_report(text: str, nonce: str) -> GuestReport:
    """Parse a report. A skipped check counts as failed, because it shows nothing."""
    lines = text.splitlines()
    heads = [(index, found) for index, line in enumerate(lines) if (found := _RESULT.fullmatch(line))]
    ends = [*(index for index, _ in heads[1:]), len(lines)]
    checks = tuple(_parse_check(head, lines[start:end]) for (start, head), end in zip(heads, ends, strict=False))
    numbers = [int(head["number"]) for _, head in heads]
    frame = [f"# BEGIN {nonce}", f"1..{len(numbers)}", f"# END {nonce}"]
    marks = [line for line in lines if line.startswith(("# BEGIN", "# END", "1.."))]
    complete = numbers == list(range(1, len(numbers) + 1)) and marks == frame and lines[-1:] == frame[-1:]
    return GuestReport(checks, complete)


def _parse_check(result: re.Match[str], lines: Sequence[str]) -> Check:
    seconds = next((float(found[1]) for found in map(_SECONDS.fullmatch, lines) if found), 0.0)
    detail = next((_unquote(found[1]) for found in map(_DETAIL.fullmatch, lines) if found), "")
    return Check(result["name"], not result["not"] and not result["skip"], seconds, detail)


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def read_mac_report(path: Path) -> str:
    """Return the text of a report file; RecordError if it is too large."""
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise RecordError(f"{path} is larger than {MAX_BYTES} bytes", _REMEDY)
    return content.decode("utf-8", "replace")


def parse_mac_report(text: str) -> tuple[VerificationReport, tuple[str, ...]]:
    """Parse a report of a bottle; return it with the sha256 of its files: the bottle and possibly the single file.

    RecordError if it names no file or no machine.
    """
    files, machine = tuple(dict.fromkeys(_FILE.findall(text))), _MACHINE.search(text)
    if not files or not machine:
        raise RecordError("the report names no file or no machine", _REMEDY)
    found = parse_report(text, files[0])
    name, checks = _STRANGE.sub("?", machine[1]), tuple(map(_tidy, found.checks))
    return VerificationReport(MAC, name, files[0], checks, found.complete), files


def _tidy(check: Check) -> Check:
    name = re.sub(r"[^\x20-\x7e]", "?", check.name[:200])
    detail = check.detail[:10_000].encode("utf-8", "replace").decode("utf-8")
    return Check(name, check.passed, check.seconds, detail)
