"""When each service was started and became ready, and which one it waited for, from the launcher's own timings."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from stigmer_packaging.records.model import VerificationReport

_KEY = '"timeline"'
_WITHIN = 0.25
"""The longest time in seconds between the readiness of a service and the start of one that waited for it."""


@dataclass(frozen=True)
class Span:
    """A service: when it was spawned and ready, in seconds from the supervisor's start, and the one it waited for."""

    name: str
    spawned: float
    ready: float
    after: str = ""


def find_spans(report: VerificationReport) -> tuple[Span, ...]:
    """Return the timings of `stigmer server status --json` that a report's checks contain, or an empty tuple."""
    found = (_timeline(check.detail) for check in report.checks if _KEY in check.detail)
    return next((_waiting(spans) for spans in found if spans), ())


def _timeline(detail: str) -> tuple[Span, ...]:
    """Parse the timings wherever they are in the text: a guest reports only the end of long output."""
    _, _, rest = detail.partition(_KEY)
    try:
        timings, _ = json.JSONDecoder().raw_decode(rest.lstrip(": "))
        return tuple(Span(name, float(times["spawned"]), float(times["ready"])) for name, times in timings.items())
    except (ValueError, LookupError, TypeError, AttributeError):
        return ()


def _waiting(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Add to each service the one whose readiness it started right after; the first ones have none."""
    ordered = sorted(spans, key=lambda span: (span.spawned, span.ready))
    return tuple(Span(span.name, span.spawned, span.ready, _before(span, ordered)) for span in ordered)


def _before(span: Span, others: Iterable[Span]) -> str:
    earlier = [other for other in others if 0 <= span.spawned - other.ready <= _WITHIN]
    return max(earlier, key=lambda other: other.ready).name if earlier else ""
