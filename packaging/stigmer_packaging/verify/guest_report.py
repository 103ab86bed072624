"""Read what verify-install reports: TAP 13 with a BEGIN and an END line that carry a nonce.

Source: https://testanything.org/tap-version-13-specification.html; each result has a YAML block with seconds and detail.
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from stigmer_packaging.records.model import Check

_RESULT = re.compile(r"(?P<not>not )?ok (?P<number>\d{1,6}) - (?P<name>.*?)(?P<skip> # SKIP.*)?")
_SECONDS = re.compile(r"  seconds: (\d{1,9}(?:\.\d{1,9})?)")
_DETAIL = re.compile(r'  detail: (".*")')


class GuestReport(NamedTuple):
    """The checks a guest reported, and whether its report is whole: begun, numbered, counted and ended with our nonce."""

    checks: tuple[Check, ...]
    whole: bool


def parse_report(text: str, nonce: str) -> GuestReport:
    """Read a report. A check that was skipped did not pass: it shows nothing."""
    lines = text.splitlines()
    starts = [index for index, line in enumerate(lines) if _RESULT.fullmatch(line)]
    checks = tuple(_parse_check(lines[start:end]) for start, end in pairwise([*starts, len(lines)]))
    return GuestReport(checks, _is_whole(lines, [lines[start] for start in starts], nonce))


def _parse_check(lines: Sequence[str]) -> Check:
    head = _RESULT.fullmatch(lines[0])
    assert head  # noqa: S101 - the caller found this line by the same pattern
    seconds = next((float(found[1]) for found in map(_SECONDS.fullmatch, lines) if found), 0.0)
    detail = next((_unquote(found[1]) for found in map(_DETAIL.fullmatch, lines) if found), "")
    return Check(head["name"], not head["not"] and not head["skip"], seconds, detail)


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def _is_whole(lines: Sequence[str], results: Sequence[str], nonce: str) -> bool:
    numbers = [int(found["number"]) for found in map(_RESULT.fullmatch, results) if found]
    frame = [f"# BEGIN {nonce}", f"1..{len(numbers)}", f"# END {nonce}"]
    marks = [line for line in lines if line.startswith(("# BEGIN", "# END", "1.."))]
    return numbers == list(range(1, len(numbers) + 1)) and marks == frame and lines[-1:] == frame[-1:]
