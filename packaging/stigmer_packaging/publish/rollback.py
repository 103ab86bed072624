"""Take a version back: the tap gets the formula it had before, after its files were seen to be still there."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from stigmer_packaging.formula.reading import Download, parse_formula
from stigmer_packaging.lib.errors import TapError
from stigmer_packaging.publish.plan import TapChange
from stigmer_packaging.publish.tap import Tap
from stigmer_packaging.publish.tap_change import TapEdit, fetch_downloads


@dataclass(frozen=True)
class RollbackPlan:
    """All that a rollback does: the tap's change, from which version to which, and the files that must be there."""

    name: str
    withdrawn: str
    restored: str
    change: TapChange
    downloads: tuple[Download, ...]


def plan_rollback(name: str, version: str, place: TapChange, history: tuple[str, ...]) -> RollbackPlan:
    """Decide what to go back to from a version, given the formula's texts in the tap, newest first.

    It is the newest text of another version before that one's. `place` is a change without text and message. TapError
    when the tap serves something else than the withdrawn version or what preceded it, and when nothing did.
    """
    tap, read = place.repository, [(text, facts) for text in history if (facts := parse_formula(text))]
    at = next((i for i, (_, facts) in enumerate(read) if facts.version == version), None)
    if at is None:
        raise TapError(f"the tap {tap} never served {name} {version}")
    earlier = next((pair for pair in read[at:] if pair[1].version != version), None)
    if earlier is None:
        raise TapError(f"before {version} the tap {tap} served no formula to go back to")
    text, facts = earlier
    if at > 0 and read[0][0] != text:
        raise TapError(f"the tap {tap} serves {read[0][1].version}, and not {version}")
    change = replace(place, text=text, message=f"{name} {facts.version}: take {version} back\n")
    return RollbackPlan(name, version, facts.version, change, facts.downloads(name))


def read_history(tap: Tap, path: str) -> tuple[str, ...]:
    """Give the formula's texts in the tap, newest first."""
    head = tap.host.persist(tap.head, whole=True)
    return tuple(text for commit in tap.history(head, path) if (text := tap.read(commit, path)) is not None)


def roll_back(plan: RollbackPlan, tap: Tap, *, report: Callable[[str], None]) -> tuple[str, str]:
    """Carry the plan out, unless that is done; give the tap's commit, and the pull request's address or nothing.

    An error when a file that the old formula names is gone or another.
    """
    edit = TapEdit(tap, plan.change, partial(_still_withdrawn, plan))
    edit.rehearse()
    fetch_downloads(plan.downloads, tap.host, report)
    return edit.make()


def _still_withdrawn(plan: RollbackPlan, there: str | None) -> None:
    facts = parse_formula(there or "")
    if not facts or facts.version != plan.withdrawn:
        raise TapError(f"{plan.change.repository} meanwhile serves {facts.version if facts else 'no formula of ours'}")
