"""Reports of guests: their checks are parsed, and only a complete report counts as proof."""

import pytest

from stigmer_packaging.records.model import Check
from stigmer_packaging.verify.guest_report import parse_report

NONCE = "4f2a"
COMPLETE = """TAP version 13
# BEGIN 4f2a
ok 1 - the server starts
  ---
  seconds: 1.50
  detail: "All services \\"running\\"\\nindeed ✓"
  ...
not ok 2 - the server stops
  ---
  seconds: 0.02
  detail: "still runs: 12"
  ...
ok 3 - there is no network # SKIP not demanded
  ---
  seconds: 0.00
  detail: "not demanded"
  ...
1..3
# END 4f2a
"""


def test_every_check_is_parsed_with_name_outcome_seconds_and_detail() -> None:
    report = parse_report(COMPLETE, NONCE)
    assert report.complete
    assert report.checks == (
        Check("the server starts", True, 1.5, 'All services "running"\nindeed ✓'),
        Check("the server stops", False, 0.02, "still runs: 12"),
        Check("there is no network", False, 0.0, "not demanded"),
    )


def without(line: str) -> str:
    assert line in COMPLETE.splitlines()
    return "".join(each for each in COMPLETE.splitlines(keepends=True) if each.rstrip() != line)


INCOMPLETE = {
    "empty": "",
    "no end": without("# END 4f2a"),
    "no start": without("# BEGIN 4f2a"),
    "no plan": without("1..3"),
    "a check missing": without("ok 1 - the server starts"),
    "one check fewer than planned": COMPLETE.replace("1..3", "1..4"),
    "gap in the numbers": COMPLETE.replace("ok 3", "ok 4"),
    "another nonce": COMPLETE.replace("4f2a", "0000"),
    "twice": COMPLETE + COMPLETE,
    "checks after the end": COMPLETE + "ok 4 - late\n",
    "noise after the end": COMPLETE + "Segmentation fault\n",
    "truncated in the middle": COMPLETE[: len(COMPLETE) // 2],
    "truncated in the last line": COMPLETE[:-3],
    "end before start": COMPLETE.replace("# BEGIN 4f2a\n", "").replace("# END 4f2a", "# END 4f2a\n# BEGIN 4f2a"),
}


@pytest.mark.parametrize("fault", INCOMPLETE)
def test_an_incomplete_report_is_never_proof(fault: str) -> None:
    assert not parse_report(INCOMPLETE[fault], NONCE).complete


def test_a_detail_that_is_not_json_is_kept_verbatim() -> None:
    text = COMPLETE.replace('"still runs: 12"', r'"broken \x"')
    assert parse_report(text, NONCE).checks[1].detail == r'"broken \x"'
