"""Read what verify-install reports: TAP 13 with a BEGIN and an END line that carry a nonce.

Source: https://testanything.org/tap-version-13-specification.html; each result has a YAML block with seconds and detail.
"""

import json
import re
from collections.abc import Sequence
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
    heads = [(index, found) for index, line in enumerate(lines) if (found := _RESULT.fullmatch(line))]
    ends = [*(index for index, _ in heads[1:]), len(lines)]
    checks = tuple(_parse_check(head, lines[start:end]) for (start, head), end in zip(heads, ends, strict=False))
    numbers = [int(head["number"]) for _, head in heads]
    frame = [f"# BEGIN {nonce}", f"1..{len(numbers)}", f"# END {nonce}"]
    marks = [line for line in lines if line.startswith(("# BEGIN", "# END", "1.."))]
    whole = numbers == list(range(1, len(numbers) + 1)) and marks == frame and lines[-1:] == frame[-1:]
    return GuestReport(checks, whole)


def _parse_check(head: re.Match[str], lines: Sequence[str]) -> Check:
    seconds = next((float(found[1]) for found in map(_SECONDS.fullmatch, lines) if found), 0.0)
    detail = next((_unquote(found[1]) for found in map(_DETAIL.fullmatch, lines) if found), "")
    return Check(head["name"], not head["not"] and not head["skip"], seconds, detail)


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text
