"""What a guest reports: read as it stands, and proof only when it is whole."""

import pytest

from stigmer_packaging.records.model import Check
from stigmer_packaging.verify.guest_report import parse_report

NONCE = "4f2a"
WHOLE = """TAP version 13
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


def test_every_check_of_a_whole_report_has_its_name_outcome_seconds_and_detail() -> None:
    report = parse_report(WHOLE, NONCE)
    assert report.whole
    assert report.checks == (
        Check("the server starts", True, 1.5, 'All services "running"\nindeed ✓'),
        Check("the server stops", False, 0.02, "still runs: 12"),
        Check("there is no network", False, 0.0, "not demanded"),
    )


def without(line: str) -> str:
    assert line in WHOLE.splitlines()
    return "".join(each for each in WHOLE.splitlines(keepends=True) if each.rstrip() != line)


SPOILT = {
    "nothing": "",
    "no end": without("# END 4f2a"),
    "no begin": without("# BEGIN 4f2a"),
    "no plan": without("1..3"),
    "a check missing": without("ok 1 - the server starts"),
    "plan too long": WHOLE.replace("1..3", "1..4"),
    "numbers with a gap": WHOLE.replace("ok 3", "ok 4"),
    "another nonce": WHOLE.replace("4f2a", "0000"),
    "twice": WHOLE + WHOLE,
    "checks after the end": WHOLE + "ok 4 - late\n",
    "noise after the end": WHOLE + "Segmentation fault\n",
    "cut in the middle": WHOLE[: len(WHOLE) // 2],
    "cut in the last line": WHOLE[:-3],
    "in another order": WHOLE.replace("# BEGIN 4f2a\n", "").replace("# END 4f2a", "# END 4f2a\n# BEGIN 4f2a"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_a_report_that_is_not_whole_is_never_proof(fault: str) -> None:
    assert not parse_report(SPOILT[fault], NONCE).whole


def test_a_detail_that_is_no_json_is_given_as_it_stands() -> None:
    text = WHOLE.replace('"still runs: 12"', r'"broken \x"')
    assert parse_report(text, NONCE).checks[1].detail == r'"broken \x"'
