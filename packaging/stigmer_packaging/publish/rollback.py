"""Roll a version back: restore the formula that the tap had before it, after checking that its files still exist."""

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
    """Everything that a rollback does: the change of the tap, both versions, and the files that must still be there."""

    name: str
    withdrawn: str
    restored: str
    change: TapChange
    downloads: tuple[Download, ...]


def plan_rollback(name: str, version: str, place: TapChange, history: tuple[str, ...]) -> RollbackPlan:
    """Plan the rollback of a version from the formula's texts in the tap, newest first.

    The newest earlier text of another version is restored. `place` is a change without text and message. TapError if the
    tap never served the version, had no other one before it, or now serves a third one.
    """
    tap, parsed = place.repository, [(text, facts) for text in history if (facts := parse_formula(text))]
    position = next((i for i, (_, facts) in enumerate(parsed) if facts.version == version), None)
    if position is None:
        served = ", ".join(dict.fromkeys(facts.version for _, facts in parsed)) or "none"
        raise TapError(f"the tap {tap} never served {name} {version}", f"name a version that it served: {served}")
    earlier = next((pair for pair in parsed[position:] if pair[1].version != version), None)
    if earlier is None:
        raise TapError(
            f"cannot roll back {name} {version}: the tap {tap} had no earlier formula", "release a higher version"
        )
    text, facts = earlier
    if position > 0 and parsed[0][0] != text:
        current = parsed[0][1].version
        remedy = f"to withdraw {current}, run `scripts/rollback {current}`"
        raise TapError(f"the tap {tap} serves {current}, not {version}", remedy)
    change = replace(place, text=text, message=f"{name} {facts.version}: roll back {version}\n")
    return RollbackPlan(name, version, facts.version, change, facts.downloads(name))


def read_history(tap: Tap, path: str) -> tuple[str, ...]:
    """Return the formula's texts in the tap, newest first."""
    head = tap.host.retry(tap.head, full_history=True)
    return tuple(text for commit in tap.history(head, path) if (text := tap.read(commit, path)) is not None)


def roll_back(plan: RollbackPlan, tap: Tap, *, report: Callable[[str], None]) -> tuple[str, str]:
    """Carry out the plan unless that is done; return the tap's commit, and the pull request's URL or an empty string.

    PublicationError if a file that the old formula names differs, UnavailableError if it is gone.
    """
    edit = TapEdit(tap, plan.change, partial(_still_withdrawn, plan))
    edit.dry_run()
    fetch_downloads(plan.downloads, tap.host, report)
    return edit.apply()


def _still_withdrawn(plan: RollbackPlan, current: str | None) -> None:
    facts = parse_formula(current or "")
    if not facts or facts.version != plan.withdrawn:
        raise TapError(f"{plan.change.repository} now serves {facts.version if facts else 'no formula of ours'}")
