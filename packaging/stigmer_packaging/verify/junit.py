"""JUnit XML, which CI systems show as test results. Source: the schema of Jenkins' xunit plugin, junit-10.xsd."""

import re
from xml.etree import ElementTree as ET

from stigmer_packaging.records.model import VerificationReport

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""What no XML text may hold. Source: XML 1.0, section 2.2."""


def render_junit(report: VerificationReport) -> str:
    """Give one test suite with a case for each check, and one for the end of the report: without an end it failed."""
    cases = [(check.name, check.passed, check.seconds, check.detail) for check in report.checks]
    cases.append(
        ("the guest ends and its report is whole", report.ended, 0.0, "" if report.ended else "no whole report")
    )
    suite = ET.Element(
        "testsuite",
        name=f"{report.level}: {report.guest}",
        tests=str(len(cases)),
        failures=str(sum(not passed for _, passed, _, _ in cases)),
        time=f"{sum(seconds for _, _, seconds, _ in cases):.2f}",
    )
    for name, passed, seconds, detail in cases:
        case = ET.SubElement(suite, "testcase", classname=report.level, name=name, time=f"{seconds:.2f}")
        text = _FORBIDDEN.sub("?", detail)
        if not passed:
            ET.SubElement(case, "failure", message=text.partition("\n")[0]).text = text
        elif text:
            ET.SubElement(case, "system-out").text = text
    ET.indent(suite)
    return f'<?xml version="1.0"?>\n{ET.tostring(suite, encoding="unicode")}\n'
