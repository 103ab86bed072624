"""A publication as people read it: the plan before, the result after."""

from collections.abc import Sequence

from stigmer_packaging.publish.plan import Publication, PublicationPlan
from stigmer_packaging.publish.published import Statement


def describe_plan(plan: PublicationPlan) -> list[str]:
    """Say in lines what would be published."""
    kind = "pre-release" if plan.prerelease else "release"
    lines = [f"{kind} {plan.tag} of {plan.repository} at {plan.commit}, with {len(plan.assets)} files:"]
    lines += [f"  {file.sha256}  {file.size:>11}  {file.name}" for file in plan.assets]
    if plan.tap is None:
        return [*lines, "no tap is changed: users' formula stays", "", plan.notes]
    how = f"proposed from {plan.tap.proposal}" if plan.tap.proposal else "pushed"
    tap = f"{plan.tap.path} with sha256 {plan.tap.sha256}, {how} to {plan.tap.branch} of {plan.tap.repository}"
    return [*lines, f"tap: {tap}", "", plan.notes]


def describe_publication(done: Publication) -> list[str]:
    """Say in lines what was published."""
    kept = "immutable" if done.immutable else "its assets can still be changed: turn immutable releases on"
    tap = f"{done.tap}: {done.pull_request or done.tap_commit}" if done.tap else "no tap was changed"
    return [f"{done.tag}: {done.page} ({kept})", tap]


def describe_statements(statements: Sequence[Statement]) -> list[str]:
    """Say in a table what each place says of each file."""
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*map(_cells, statements), strict=True)]
    return ["  ".join(map(str.ljust, _cells(one), widths)).rstrip() for one in statements]


def _cells(statement: Statement) -> tuple[str, str, str, str]:
    return ("ok" if statement.agrees else "no", statement.file, statement.place, statement.said)
