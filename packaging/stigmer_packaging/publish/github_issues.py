"""GitHub's issues, as far as the daily trial of the documented install needs them: find one, open it, close it.

Source: GitHub's REST documentation of issues; a listing of issues holds pull requests, too.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stigmer_packaging.lib import http
from stigmer_packaging.publish.github import Access
from stigmer_packaging.publish.github_answers import read_json

_PAGE = 100


@dataclass(frozen=True)
class Issues:
    """The issues of one repository."""

    access: Access
    repository: str

    def find_open(self, title: str) -> int:
        """Give the number of the open issue of this title, 0 when there is none."""
        return next((issue["number"] for issue in self._open() if issue["title"] == title), 0)

    def open(self, title: str, body: str) -> str:
        """Open an issue and give its address."""
        return str(self._call("POST", "/issues", {"title": title, "body": body})["html_url"])

    def close(self, number: int, reason: str) -> None:
        """Say why in a comment, and close the issue."""
        self._call("POST", f"/issues/{number}/comments", {"body": reason})
        self._call("PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "completed"})

    def _open(self) -> Iterator[Any]:
        page, found = 1, [None] * _PAGE
        while len(found) == _PAGE:
            found = self._call("GET", f"/issues?state=open&per_page={_PAGE}&page={page}")
            yield from (issue for issue in found if issue and "pull_request" not in issue)
            page += 1

    def _call(self, method: str, path: str, asked: Mapping[str, object] | None = None) -> Any:
        url = f"{self.access.api}/repos/{self.repository}{path}"
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.access.token}",
            "User-Agent": "stigmer-packaging",
        }
        content = b"" if asked is None else json.dumps(asked).encode()
        return read_json(http.exchange(method, url, headers=headers, content=content), method, url)
