"""Code signatures: an Apple processor runs nothing unsigned, and kills what was changed after signing."""

from collections.abc import Iterator

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation
from stigmer_packaging.audit.platforms import machos


def _unsigned(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        if macho.architecture == "arm64" and macho.flaws is None:
            yield Violation(path, "its code for arm64 is not signed")


def _broken(subject: Subject) -> Iterator[Violation]:
    for path, macho in machos(subject):
        yield from (Violation(path, f"{macho.architecture}: {flaw}") for flaw in macho.flaws or ())


_SIGN = "sign it after the last change: `codesign --force --sign -`; Go's linker signs by itself"

CHECKS = (
    Check("unsigned", ERROR, "macOS kills it when it starts", _SIGN, _unsigned),
    Check("broken-signature", ERROR, "macOS kills it when it reaches the changed page", _SIGN, _broken),
)
