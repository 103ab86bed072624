"""Change one file of a tap that others may change, too: read, check, commit, push; retry after a conflict."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from stigmer_packaging.formula.reading import Download
from stigmer_packaging.lib.errors import GitHubError, PublicationError, TapError, UnavailableError
from stigmer_packaging.publish.github import GitHub
from stigmer_packaging.publish.plan import TapChange
from stigmer_packaging.publish.tap import Tap


@dataclass(frozen=True)
class TapEdit:
    """A change of a tap. `allow` gets the file's current text, None if it is missing, and raises if it is forbidden."""

    tap: Tap
    change: TapChange
    allow: Callable[[str | None], None]

    def dry_run(self) -> None:
        """Check that the change is allowed and that the tap would accept our push, without changing anything."""

        def attempt() -> None:
            head = self.tap.head()
            self._is_applied(head)
            self.tap.push(head, self.change.proposal or self.tap.branch, dry_run=True)

        self.tap.host.retry(attempt)

    def apply(self) -> tuple[str, str]:
        """Push or propose the change unless that is done.

        Return the commit, and the pull request's URL or an empty string.
        """
        return self.tap.host.retry(self._apply)

    def read_back(self, *, proposed: bool) -> str:
        """Return the file's current text in the tap, or in the proposal."""
        branch = self.change.proposal if proposed else self.tap.branch
        return self.tap.host.retry(lambda: self.tap.read(self.tap.fetch(branch), self.change.path) or "")

    def _apply(self) -> tuple[str, str]:
        head, proposal = self.tap.head(), self.change.proposal
        if self._is_applied(head):
            return head, ""
        if not proposal:
            return self._push(head, self.tap.branch), ""
        commit = self._proposed() or self._push(head, proposal)
        return commit, self.tap.host.find_pull_request(proposal, self.tap.branch) or self._open()

    def _is_applied(self, head: str) -> bool:
        """Return whether a commit contains the change; if not, check that it is allowed."""
        current = self.tap.read(head, self.change.path)
        if current != self.change.text:
            self.allow(current)
        return current == self.change.text

    def _push(self, head: str, branch: str) -> str:
        change = self.change
        commit = self.tap.commit(head, change.path, change.text, change.message)
        if not self.tap.push(commit, branch):
            raise UnavailableError(f"another push changed {branch} of {change.repository} at the same time")
        return commit

    def _proposed(self) -> str:
        """Return the commit of an existing proposal, or an empty string."""
        change = self.change
        proposed = self.tap.fetch(change.proposal)
        if proposed and self.tap.read(proposed, change.path) != change.text:
            remedy = "delete that branch if it is not needed, then run again"
            raise TapError(f"the branch {change.proposal} of {change.repository} has a different {change.path}", remedy)
        return proposed

    def _open(self) -> str:
        title = self.change.message.splitlines()[0]
        body = "The files that this formula names are published, and their checksums match it."
        try:
            return self.tap.host.open_pull_request(self.change.proposal, self.tap.branch, title=title, body=body)
        except GitHubError as error:
            if error.status == 422 and "already exists" in str(error):
                raise UnavailableError(str(error)) from error
            raise


def fetch_downloads(downloads: Iterable[Download], github: GitHub, report: Callable[[str], None]) -> None:
    """Download the files of a formula like brew, by public URLs without a token, and check that their sha256 match."""
    for download in downloads:
        report(f"fetching {download.url}")
        found = github.retry(github.public_digest_of, download.url)
        if found != download.sha256:
            raise PublicationError(f"{download.url} has sha256 {found}; the formula expects {download.sha256}")
