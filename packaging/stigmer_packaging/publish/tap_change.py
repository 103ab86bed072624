"""Changing one file of a tap while others may change the tap too: look, decide, commit, push; again when somebody was quicker."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from stigmer_packaging.lib.errors import GitHubError, TapError, UnavailableError
from stigmer_packaging.publish.github import GitHub, persist
from stigmer_packaging.publish.plan import TapChange
from stigmer_packaging.publish.tap import Tap


@dataclass(frozen=True)
class TapPlace:
    """A tap's repository as git sees it and as GitHub does."""

    git: Tap
    host: GitHub


@dataclass(frozen=True)
class TapEdit:
    """A change of a tap. `allow` raises what forbids it, given the file's present text, or None where there is none."""

    place: TapPlace
    change: TapChange
    allow: Callable[[str | None], None]


def rehearse_edit(edit: TapEdit) -> None:
    """See that the change may be made and that the tap would take it from us; nothing is changed."""

    def attempt() -> None:
        head = _head_of(edit.place.git)
        _is_made(edit, head)
        edit.place.git.push(head, edit.change.proposal or edit.place.git.branch, rehearse=True)

    persist(attempt, edit.place.host.access)


def make_edit(edit: TapEdit) -> tuple[str, str]:
    """Push the change or propose it, unless that is done; give the commit, and the pull request's address or nothing."""
    return persist(lambda: _propose(edit) if edit.change.proposal else (_push(edit), ""), edit.place.host.access)


def read_edited(edit: TapEdit, *, proposed: bool) -> str:
    """Give the file's text as it is in the tap now, or in the proposal."""
    git = replace(edit.place.git, branch=edit.change.proposal) if proposed else edit.place.git
    return persist(lambda: git.read(_head_of(git), edit.change.path) or "", edit.place.host.access)


def _push(edit: TapEdit) -> str:
    head = _head_of(edit.place.git)
    if _is_made(edit, head):
        return head
    commit = _commit(edit, head)
    if not edit.place.git.push(commit, edit.place.git.branch):
        raise UnavailableError(f"somebody else changed {edit.change.repository} at the same moment")
    return commit


def _propose(edit: TapEdit) -> tuple[str, str]:
    head = _head_of(edit.place.git)
    if _is_made(edit, head):
        return head, ""
    commit = _proposed(edit) or _push_proposal(edit, head)
    return commit, edit.place.host.find_pull(edit.change.proposal, edit.place.git.branch) or _open(edit)


def _proposed(edit: TapEdit) -> str:
    """Give the commit of a proposal that is there already, or nothing."""
    change, git = edit.change, edit.place.git
    proposed = replace(git, branch=change.proposal).head()
    if proposed and git.read(proposed, change.path) != change.text:
        raise TapError(
            f"the branch {change.proposal} of {change.repository} holds another {change.path}",
            "remove that branch when nobody needs it, then run again",
        )
    return proposed


def _push_proposal(edit: TapEdit, head: str) -> str:
    commit = _commit(edit, head)
    if not edit.place.git.push(commit, edit.change.proposal):
        raise UnavailableError(f"somebody else made the branch {edit.change.proposal} at the same moment")
    return commit


def _open(edit: TapEdit) -> str:
    title = edit.change.message.splitlines()[0]
    body = "The files this formula names are published, and were fetched and compared with it."
    try:
        return edit.place.host.open_pull(edit.change.proposal, edit.place.git.branch, title=title, body=body)
    except GitHubError as error:
        if error.status == 422 and "already exists" in str(error):
            raise UnavailableError(str(error)) from error
        raise


def _is_made(edit: TapEdit, head: str) -> bool:
    """Whether the change is in a commit already; where it is not, it must be allowed."""
    there = edit.place.git.read(head, edit.change.path)
    if there != edit.change.text:
        edit.allow(there)
    return there == edit.change.text


def _commit(edit: TapEdit, head: str) -> str:
    return edit.place.git.commit(head, edit.change.path, edit.change.text, edit.change.message)


def _head_of(tap: Tap) -> str:
    if head := tap.head():
        return head
    raise TapError(f"{tap.remote} has no branch {tap.branch}", "name the branch that brew reads: --tap-branch")
