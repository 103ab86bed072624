"""The order of a trial with brew: every step is tried, whatever became of those before it, and all is left as it was."""

from collections.abc import Callable

from stigmer_packaging.lib.errors import PackagingError, VerificationError
from stigmer_packaging.records.model import Check
from stigmer_packaging.verify.brew.trial import BrewTrial

STEPS: tuple[tuple[str, Callable[[BrewTrial], str]], ...] = (
    ("brew reads the tap without a warning", BrewTrial.read_tap),
    ("brew style finds nothing in the formula", BrewTrial.style),
    ("brew audit --strict finds nothing in the formula", BrewTrial.audit),
    ("the documented command pours the bottle", BrewTrial.install),
    ("what was poured is what was released", BrewTrial.compare),
    ("brew linkage --test finds nothing", BrewTrial.linkage),
    ("brew test passes", BrewTrial.test),
    ("brew has a unit for the service", BrewTrial.see_service),
    ("brew upgrade pours the next release while a server runs", BrewTrial.upgrade),
    ("the next start is the next release's, and works", BrewTrial.go_on),
    ("brew test passes after the upgrade", BrewTrial.test),
    ("brew reinstall pours again", BrewTrial.reinstall),
    ("brew uninstall leaves the user's data and nothing else", BrewTrial.uninstall),
    ("a bottle with another checksum is refused", BrewTrial.refuse_other_bytes),
    ("a bottle that is not there is refused", BrewTrial.refuse_missing),
)
UPGRADES = (BrewTrial.upgrade, BrewTrial.go_on)
"""The steps that need a later release."""


def try_with_brew(trial: BrewTrial, *, clock: Callable[[], float], report: Callable[[str], None]) -> tuple[Check, ...]:
    """Carry out every step, whatever became of those before it, and leave brew as it was.

    Raise VerificationError where brew has the tap or the formula already: somebody's own installation stays as it is.
    """
    if trial.cellar.exists() or trial.tap.name in trial.brew.run("tap").split():
        raise VerificationError(
            f"this brew has {trial.full} or its tap already", "run it where brew has neither, such as a hosted runner"
        )
    try:
        return tuple(
            _check(name, step, trial, clock, report)
            for name, step in STEPS
            if trial.later is not None or step not in UPGRADES
        )
    finally:
        trial.clean_up()


def _check(
    name: str,
    step: Callable[[BrewTrial], str],
    trial: BrewTrial,
    clock: Callable[[], float],
    report: Callable[[str], None],
) -> Check:
    report(name)
    start = clock()
    try:
        detail, passed = step(trial), True
    except (PackagingError, OSError, ValueError) as error:
        detail, passed = str(error), False
    return Check(name, passed, round(clock() - start, 2), detail)
