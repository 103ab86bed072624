"""Publish a release so that users never see half of it: draft, assets, release, and the tap last."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from packaging.version import Version

from stigmer_packaging.formula.reading import parse_formula
from stigmer_packaging.lib.errors import GitHubError, PackagingError, PublicationError, TapError, UnavailableError
from stigmer_packaging.publish.github import GitHub, HostedAsset, HostedRelease
from stigmer_packaging.publish.plan import Publication, PublicationPlan
from stigmer_packaging.publish.rules import version_in
from stigmer_packaging.publish.tap import Tap
from stigmer_packaging.publish.tap_change import TapEdit, fetch_downloads
from stigmer_packaging.records.release import Artefact

Report = Callable[[str], None]


def publish_release(
    plan: PublicationPlan, folder: Path, github: GitHub, tap: Tap | None, *, report: Report
) -> Publication:
    """Carry out the plan, resuming where an earlier run stopped, and return what was published.

    `folder` has the plan's files; without a `tap`, as for a pre-release, the formula is not changed. PublicationError
    if something else is published under this tag, or a newer release is published: nothing is overwritten.
    """
    release = draft_release(plan, folder, github, tap, report=report)
    report(f"{plan.tag}: publishing")
    release = github.retry(_publish, plan, github, release)
    github.retry(_confirm, plan, github, release)
    fetch_downloads(plan.downloads, github, report)
    edit = _edit_of(plan, tap)
    commit, request = _edit_tap(edit, plan, report) if edit else ("", "")
    repository = edit.change.repository if edit else ""
    return Publication(plan.tag, release.html_url, release.immutable, plan.assets, repository, commit, request)


def draft_release(
    plan: PublicationPlan, folder: Path, github: GitHub, tap: Tap | None, *, report: Report
) -> HostedRelease:
    """Do the first part of publish_release, up to the complete draft, which only users with write access can see.

    If the release is public already, return it.
    """
    github.retry(github.check_access)
    github.retry(_find, plan, github)
    if edit := _edit_of(plan, tap):
        edit.dry_run()
    report(f"{plan.tag}: the release")
    release = github.retry(lambda: _find(plan, github) or _create(plan, github))
    for file in plan.assets if release.draft else ():
        report(f"{plan.tag}: {file.asset}")
        github.retry(_place, file, folder, github, release)
    return release


def _edit_of(plan: PublicationPlan, tap: Tap | None) -> TapEdit | None:
    return TapEdit(tap, plan.tap, partial(_refuse_backwards, plan)) if plan.tap and tap else None


def abandon_draft(tag: str, marker: str, github: GitHub, *, dry_run: bool = False) -> tuple[str, ...]:
    """Delete our drafts of a tag, whose notes contain `marker`, and return their URLs; `dry_run` only returns them.

    PublicationError if the release is public, which is not deleted. Drafts of others are not deleted either.
    """
    drafts = github.retry(_own_drafts, tag, marker, github)
    for draft in () if dry_run else drafts:
        github.retry(_remove, draft, github)
    return tuple(draft.html_url for draft in drafts)


def _own_drafts(tag: str, marker: str, github: GitHub) -> tuple[HostedRelease, ...]:
    found = [release for release in github.releases() if release.tag_name == tag]
    if any(not release.draft for release in found):
        remedy = f"roll it back: scripts/rollback {tag.removeprefix('v')}"
        raise PublicationError(f"{tag} is already published and will not be removed", remedy)
    return tuple(release for release in found if marker in (release.body or ""))


def _remove(draft: HostedRelease, github: GitHub) -> None:
    """Delete a draft, unless somebody has published it in the meantime."""
    now = [release for release in github.releases() if release.id == draft.id]
    if now and now[0].draft:
        github.delete_release(now[0])


def _find(plan: PublicationPlan, github: GitHub) -> HostedRelease | None:
    """Return the release that an earlier run published or drafted; PublicationError if another one is in the way."""
    _refuse_other_commit(plan, github)
    releases = github.releases()
    if newer := [release.tag_name for release in releases if _is_newer(release, plan)]:
        raise PublicationError(f"{plan.tag} would be a step backwards: {', '.join(newer)} is published")
    found = [release for release in releases if release.tag_name == plan.tag]
    if published := [release for release in found if not release.draft]:
        return published[0]
    if strangers := [release for release in found if plan.marker not in (release.body or "")]:
        remedy = "if it is ours, remove it with scripts/publish --abandon dist, otherwise by hand"
        raise PublicationError(
            f"there is a draft of {plan.tag} with different contents: {strangers[0].html_url}", remedy
        )
    return found[-1] if found else None


def _is_newer(release: HostedRelease, plan: PublicationPlan) -> bool:
    """Return whether a release is public and newer than the plan's; a pre-release does not block a stable version."""
    if release.draft or (release.prerelease and not plan.prerelease):
        return False
    version = version_in(release.tag_name)
    return version is not None and version > Version(plan.version)


def _refuse_other_commit(plan: PublicationPlan, github: GitHub, *, missing: bool = True) -> None:
    """Raise PublicationError if the tag points to another commit; UnavailableError if it must exist and does not yet."""
    commit = github.commit_of_tag(plan.tag)
    if not commit and not missing:
        raise UnavailableError(f"GitHub does not know the tag {plan.tag} yet")
    if commit and commit != plan.commit:
        raise PublicationError(
            f"the tag {plan.tag} points to {commit}, but this release was built from {plan.commit}",
            "never move a tag: release the commit that it points to, or raise the version",
        )


def _create(plan: PublicationPlan, github: GitHub) -> HostedRelease:
    target = _target(plan, github)
    try:
        return github.create_draft(plan.tag, target, title=plan.title, notes=plan.notes, prerelease=plan.prerelease)
    except GitHubError as error:
        raise _explained(error, plan) from None


def _target(plan: PublicationPlan, github: GitHub) -> str:
    """Return the commit to create the tag at, or an empty string if the tag exists.

    GitHub lets no job's token name a commit with other workflows than the default branch, which may have moved on.
    """
    return "" if github.commit_of_tag(plan.tag) else plan.commit


def _place(file: Artefact, folder: Path, github: GitHub, draft: HostedRelease) -> None:
    """Make sure that the draft has the right file: upload it if necessary, and verify it by downloading it."""
    asset = next((asset for asset in github.assets(draft) if asset.name == file.asset), None)
    if asset and not asset.holds(file.size, file.sha256):
        github.delete_asset(asset)
        asset = None
    asset = asset or github.upload(draft, file.asset, folder / file.name)
    if github.digest_of(asset) != (file.size, file.sha256):
        github.delete_asset(asset)
        raise UnavailableError(f"the download of {file.asset} differs from what was uploaded")


def _publish(plan: PublicationPlan, github: GitHub, draft: HostedRelease) -> HostedRelease:
    release = github.release(draft.id)
    if not release.draft:
        return release
    assets = github.assets(release)
    if unlisted := {file.asset for file in plan.assets} - {asset.name for asset in assets}:
        raise UnavailableError(f"GitHub does not list all files of {plan.tag} yet: {', '.join(sorted(unlisted))}")
    _refuse_other_contents(plan, assets)
    found = _find(plan, github)  # another run may have published the same release in the meantime
    return found if found and not found.draft else _publish_draft(plan, github, release)


def _publish_draft(plan: PublicationPlan, github: GitHub, draft: HostedRelease) -> HostedRelease:
    try:
        return github.publish(draft, plan.tag, _target(plan, github))
    except GitHubError as error:
        raise _explained(error, plan) from None


def _explained(error: GitHubError, plan: PublicationPlan) -> PackagingError:
    """Return an error with the remedy if GitHub refuses the plan's tag or commit; for all other reasons, the error."""
    if "used by an immutable release" in str(error):
        remedy = "remove the draft with scripts/publish --abandon dist, then raise the version"
        return PublicationError(f"a release {plan.tag} was deleted, and GitHub never reuses its tag", remedy)
    if "target_commitish" in str(error):
        remedy = f"push it with its tag: git push origin {plan.tag}"
        return PublicationError(f"GitHub does not have the commit {plan.commit}", remedy)
    return error


def _confirm(plan: PublicationPlan, github: GitHub, release: HostedRelease) -> None:
    """Check that what is public under the tag is what the plan says, and delete leftover drafts of ours."""
    _refuse_other_contents(plan, github.assets(release))
    _refuse_other_commit(plan, github, missing=False)
    for other in github.releases():
        if other.draft and other.tag_name == plan.tag and plan.marker in (other.body or ""):
            github.delete_release(other)


def _refuse_other_contents(plan: PublicationPlan, assets: Iterable[HostedAsset]) -> None:
    uploaded, planned = {asset.name: asset for asset in assets}, {file.asset: file for file in plan.assets}
    both = uploaded.keys() & planned
    same = {name for name in both if uploaded[name].holds(planned[name].size, planned[name].sha256)}
    if wrong := (uploaded.keys() | planned) - same:
        raise PublicationError(f"the release {plan.tag} on GitHub has different files: {', '.join(sorted(wrong))}")


def _refuse_backwards(plan: PublicationPlan, current: str | None) -> None:
    """Raise PublicationError if the formula in the tap is newer than the plan's, or its version is not known."""
    if current is None:
        return
    facts = parse_formula(current)
    version = version_in(facts.version) if facts else None
    if version is None or version > Version(plan.version):
        found = facts.version if facts else "an unreadable version"
        raise PublicationError(f"{plan.tag} would be a step backwards for users: the tap's formula is at {found}")


def _edit_tap(edit: TapEdit, plan: PublicationPlan, report: Report) -> tuple[str, str]:
    """Change the tap, read it back, and check that its formula names the files that were just downloaded."""
    report(f"{edit.change.repository}: {edit.change.path}")
    commit, request = edit.apply()
    facts = parse_formula(edit.read_back(proposed=bool(request)))
    if not facts or facts.downloads(plan.name) != plan.downloads:
        raise TapError(f"the formula in {edit.change.repository} does not match the published files")
    return commit, request
