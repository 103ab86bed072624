"""A publication as people read it: the plan before, the result after."""

from stigmer_packaging.publish.plan import Publication, PublicationPlan


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
