"""Scripts: none may ask for a Python, as the machine of a user need not have one."""

import re
from collections.abc import Iterator

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation

_PYTHON = re.compile(rb"#![^\n]*\b(?:python|pypy)[\d.]*\b|#!\s*/bin/sh\s*\n'''exec' [^\n]*python")
"""The second form is how pip writes an interpreter whose path is too long for the kernel."""


def _python(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        if found := _PYTHON.match(content.head):
            yield Violation(path, f"it begins with {found[0].decode(errors='replace')!r}")


CHECKS = (
    Check(
        "python-script",
        ERROR,
        "it runs only where a Python is installed, and then with a stranger's",
        "freeze it, or leave it out of the bundle",
        _python,
    ),
)
