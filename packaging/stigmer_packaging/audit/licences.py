"""Licences: our own at the top of the keg, and the notices of all that is shipped with it, once there are such."""

from collections.abc import Iterator

from stigmer_packaging.audit.check import ERROR, Check, Subject, Violation
from stigmer_packaging.audit.index import component_names


def _licence(subject: Subject) -> Iterator[Violation]:
    if not any(path.split(".")[0] in {"LICENSE", "LICENCE", "COPYING"} for path in subject.contents.files):
        yield Violation("LICENSE", "missing")


def _notices(subject: Subject) -> Iterator[Violation]:
    if not (path := subject.policy.notices):
        return
    text = subject.contents.text(path)
    if text is None:
        yield Violation(path, "missing")
        return
    names = dict.fromkeys((*component_names(subject), *subject.policy.noticed))
    yield from (Violation(path, f"it does not name {name}") for name in names if name not in text)


CHECKS = (
    Check("licence", ERROR, "nobody may use what has none", "put LICENSE at the top of the keg", _licence),
    Check(
        "notices",
        ERROR,
        "most licences of what is shipped ask that they be given to whoever receives it",
        "write the notices anew from the locks and the modules of what is shipped",
        _notices,
    ),
)
