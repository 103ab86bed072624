"""When each service was started and ready, and whom it had waited for, by the launcher's own timings."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from stigmer_packaging.records.model import VerificationReport

_KEY = '"timeline"'
_WITHIN = 0.25
"""Seconds within which a start follows what it waited for."""


@dataclass(frozen=True)
class Span:
    """One service: seconds from the supervisor's start to its own, and to its being ready; `after` whom it started."""

    name: str
    spawned: float
    ready: float
    after: str = ""


def find_spans(report: VerificationReport) -> tuple[Span, ...]:
    """Find the timings in what a guest saw of `stigmer server status --json`; nothing where no check shows them."""
    found = (_timeline(check.detail) for check in report.checks if _KEY in check.detail)
    return next((_waiting(spans) for spans in found if spans), ())


def _timeline(detail: str) -> tuple[Span, ...]:
    """Read the timings where they stand: of a long answer a guest reports the end alone."""
    _, _, rest = detail.partition(_KEY)
    try:
        plain, _ = json.JSONDecoder().raw_decode(rest.lstrip(": "))
        return tuple(Span(name, float(times["spawned"]), float(times["ready"])) for name, times in plain.items())
    except (ValueError, LookupError, TypeError, AttributeError):
        return ()


def _waiting(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Say of each service which one's readiness it followed at once; the first ones followed nobody."""
    ordered = sorted(spans, key=lambda span: (span.spawned, span.ready))
    return tuple(Span(span.name, span.spawned, span.ready, _before(span, ordered)) for span in ordered)


def _before(span: Span, others: Iterable[Span]) -> str:
    earlier = [other for other in others if 0 <= span.spawned - other.ready <= _WITHIN]
    return max(earlier, key=lambda other: other.ready).name if earlier else ""
