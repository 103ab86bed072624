"""Reports of scripts/check-on-mac: valid only for the files they name, and safe whatever they contain."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stigmer_packaging.cli import output
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.records.model import Check
from stigmer_packaging.records.workspace import Workspace
from stigmer_packaging.verify.guest_report import MAX_BYTES, parse_mac_report, read_mac_report
from stigmer_packaging.verify.junit import render_junit
from stigmer_packaging.verify.stage import import_report
from support.publishable import write_release

BOTTLE, PROGRAM = "a" * 64, "b" * 64
COMPLETE = f"""TAP version 13
# BEGIN {BOTTLE}
# file: {BOTTLE} stigmer-2.0.0.arm64_sonoma.bottle.tar.gz
# file: {PROGRAM} stigmer-2.0.0-darwin-arm64
# machine: macOS 15.1 24B83 arm64 Mac15,3
ok 1 - the version is the expected one
  ---
  seconds: 3
  detail: "stigmer 2.0.0"
  ...
1..1
# END {BOTTLE}
"""


def test_a_report_names_the_machine_the_files_and_the_checks() -> None:
    report, files = parse_mac_report(COMPLETE)
    assert (report.guest, report.bottle_sha256, report.passed) == ("macOS 15.1 24B83 arm64 Mac15,3", BOTTLE, True)
    assert files == (BOTTLE, PROGRAM)
    assert report.checks == (Check("the version is the expected one", True, 3.0, "stigmer 2.0.0"),)


FAULTY = {
    "cut": COMPLETE.replace(f"# END {BOTTLE}\n", ""),
    "other bytes": COMPLETE.replace(f"# BEGIN {BOTTLE}", f"# BEGIN {PROGRAM}"),
    "failed": COMPLETE.replace("ok 1", "not ok 1"),
    "check left out": COMPLETE.replace("1..1", "1..2"),
    "skipped": COMPLETE.replace("one\n", "one # SKIP no Mac\n"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_an_incomplete_or_failed_report_does_not_pass(fault: str) -> None:
    assert not parse_mac_report(FAULTY[fault])[0].passed


@pytest.mark.parametrize("line", ["# file", "# machine"])
def test_a_report_without_a_file_or_a_machine_is_refused(line: str) -> None:
    text = "".join(each for each in COMPLETE.splitlines(keepends=True) if not each.startswith(line))
    with pytest.raises(RecordError, match="names no file or no machine"):
        parse_mac_report(text)


def test_a_report_that_is_too_large_is_refused_and_invalid_utf_8_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(RecordError, match="is larger than"):
        read_mac_report(path)
    path.write_bytes(COMPLETE.encode().replace(b"stigmer 2.0.0", b"stigmer \xff"))
    assert parse_mac_report(read_mac_report(path))[0].checks[0].detail == "stigmer \N{REPLACEMENT CHARACTER}"


LINES = st.sampled_from(
    [
        *COMPLETE.splitlines(),
        f"ok {'9' * 5000} - many digits",
        "ok 2 - a bold [/red] \x1b[31m name <b>",
        f"  seconds: {'9' * 400}",
        '  detail: "\\ud800 \\u0000 \x85 \x1b[2J </pre><script>"',
        '  detail: "a", "b"',
        "# machine: [/bold] <script> \x1b[2J",
        "1..999999",
    ]
)


@given(st.lists(LINES | st.text(max_size=30), max_size=30))
def test_every_report_is_either_refused_or_safe_to_show(lines: list[str]) -> None:
    try:
        found, _ = parse_mac_report("\n".join(lines))
    except RecordError:
        return
    assert render_junit(found).encode()
    shown = "".join([found.guest, *(check.name for check in found.checks)])
    assert shown.isprintable()
    assert not set("[]<>&") & set(found.guest)
    assert output.timeline_table(found).row_count == len(found.checks)
    assert all(0 <= check.seconds < 1e9 for check in found.checks)


def test_a_report_verifies_the_bottle_it_names_and_is_refused_for_others(
    tmp_path: Path,
) -> None:
    release = write_release(tmp_path / "dist", "2.0.0")
    (bottle,) = (one for one in release.of_kind("bottle") if one.target == "darwin-arm64")
    workspace = Workspace(tmp_path / "build", tmp_path / "cache")
    with pytest.raises(RecordError, match="which this release does not have"):
        import_report(COMPLETE, release, workspace)
    assert not workspace.path("verify").exists()
    ((name, report),) = import_report(COMPLETE.replace(BOTTLE, bottle.sha256), release, workspace).items()
    assert name.startswith("verify/mac/darwin-arm64-bottle/macOS-")
    assert report.bottle_sha256 == bottle.sha256
    assert workspace.path(f"{name}.log").read_text("utf-8").startswith("TAP version 13")
