"""JUnit XML contains every check of a report, and a report without its end has a failure."""

from xml.etree import ElementTree as ET

from stigmer_packaging.records.model import Check, VerificationReport
from stigmer_packaging.verify.junit import render_junit

GOOD = Check("the server starts", passed=True, seconds=1.5, detail="All <services> running")
BAD = Check("the keg is unchanged", passed=False, seconds=0.25, detail="stigmer: FAILED\nand\x00more\x1b")


def parsed(*checks: Check, ended: bool = True) -> ET.Element:
    report = VerificationReport("vm", "debian trixie", "0" * 64, checks, ended)
    return ET.fromstring(render_junit(report))  # noqa: S314 - our own text


def test_every_check_is_a_test_case_and_failed_ones_contain_the_detail() -> None:
    suite = parsed(GOOD, BAD)
    assert (suite.get("tests"), suite.get("failures"), suite.get("time")) == ("3", "1", "1.75")
    assert [case.get("name") for case in suite][:2] == ["the server starts", "the keg is unchanged"]
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("stigmer: FAILED", "stigmer: FAILED\nand?more?")


def test_characters_that_xml_forbids_are_replaced_in_names() -> None:
    """A kernel message on the console may insert control characters, which would make the file invalid."""
    assert parsed(Check("the \x1bserver\ufffe", passed=True, seconds=1.5, detail=""))[0].get("name") == "the ?server?"


def test_a_report_without_its_end_is_a_failure_even_if_every_check_passed() -> None:
    suite = parsed(GOOD, ended=False)
    assert suite.get("failures") == "1"
    assert suite[-1].find("failure") is not None
