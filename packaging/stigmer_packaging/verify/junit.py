"""Writes the results of a verification: its record, and JUnit XML beside it, which CI systems show as test results.

Source: the schema of Jenkins' xunit plugin, junit-10.xsd.
"""

import re
from xml.etree import ElementTree as ET

from stigmer_packaging.records.model import Check, VerificationReport
from stigmer_packaging.records.workspace import Workspace

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""Characters that XML text must not contain. Source: XML 1.0, section 2.2."""


def write_results(name: str, report: VerificationReport, workspace: Workspace, *, log: str = "") -> None:
    """Write the record `name`, its checks as NAME.xml, and the output of the guest, if there is any, as NAME.log."""
    with workspace.staging() as staging:
        for suffix, text in ((".log", log), (".xml", render_junit(report))):
            if text:
                (staging / "text").write_text(text, encoding="utf-8")
                workspace.publish(staging / "text", f"{name}{suffix}")
    workspace.write_record(name, report)


def render_junit(report: VerificationReport) -> str:
    """Return a test suite with a case for each check, and one that fails if the report is incomplete."""
    detail = "" if report.ended else "the report is incomplete"
    ended = Check("the guest finishes and its report is complete", report.ended, 0.0, detail)
    cases = (*report.checks, ended)
    suite = ET.Element(
        "testsuite",
        name=f"{report.level}: {report.guest}",
        tests=str(len(cases)),
        failures=str(sum(not case.passed for case in cases)),
        time=f"{sum(case.seconds for case in cases):.2f}",
    )
    for case in cases:
        element = ET.SubElement(suite, "testcase", classname=report.level, name=case.name, time=f"{case.seconds:.2f}")
        if not case.passed:
            ET.SubElement(element, "failure", message=case.detail.partition("\n")[0]).text = case.detail
        elif case.detail:
            ET.SubElement(element, "system-out").text = case.detail
    ET.indent(suite)
    text = _FORBIDDEN.sub("?", ET.tostring(suite, encoding="unicode"))
    return f'<?xml version="1.0"?>\n{text}\n'
