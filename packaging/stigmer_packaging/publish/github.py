"""GitHub's REST API, as far as releasing needs it: one method, one request, and failures told apart by what helps.

Sources: GitHub's REST documentation of releases, release assets, git references, pull requests, issues, rate limits,
status codes.
"""

import base64
import email.utils
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import cattrs

from stigmer_packaging.lib import http
from stigmer_packaging.lib.errors import GitHubError, TokenError, UnavailableError

PUBLIC = "https://github.com"
API = "https://api.github.com"
ATTEMPTS = 6
LONGEST_WAIT = 900
"""How long a limit is waited for, in seconds; a longer one ends the run, which can be started again."""

_PASSING = http.PASSING | {409}
_UNNAMED_LIMIT = 60  # seconds; what GitHub asks for when it limits without saying how long
_CONVERTER = cattrs.Converter()
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class HostedRelease:
    """A release as GitHub describes it, in its own words."""

    id: int
    tag_name: str
    body: str | None
    draft: bool
    prerelease: bool
    html_url: str
    upload_url: str
    immutable: bool = False


@dataclass(frozen=True)
class HostedAsset:
    """An asset as GitHub describes it; `state` is `uploaded`, or `starter` where an upload did not arrive whole."""

    id: int
    name: str
    state: str
    size: int
    digest: str | None = None

    def holds(self, size: int, sha256: str) -> bool:
        """Whether it arrived whole with these bytes, as far as GitHub says; an old server names no digest."""
        return self.state == "uploaded" and self.size == size and self.digest in {None, f"sha256:{sha256}"}


@dataclass(frozen=True)
class Access:
    """Where GitHub is, as whom we speak to it, who is told of waiting, how one waits (seconds), and how often one tries."""

    token: str = field(repr=False)
    api: str = API
    server: str = PUBLIC
    report: Callable[[str], None] = lambda _: None
    pause: Callable[[float], None] = time.sleep
    attempts: int = ATTEMPTS


@dataclass(frozen=True)
class GitHub:
    """One repository on GitHub. Each method but `persist` sends one request (a list: one a page)."""

    access: Access
    repository: str

    def persist(self, act: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do what may be done again, until it is done: wait as the server asks, or longer each time.

        UnavailableError after the last attempt, or at once when a limit lasts longer than LONGEST_WAIT.
        """
        for attempt in range(1, self.access.attempts):
            try:
                return act(*arguments, **named)
            except UnavailableError as error:
                if error.wait > LONGEST_WAIT:
                    raise
                seconds = error.wait or 2 ** (attempt - 1)
                self.access.report(f"{error}; trying again in {seconds:g} s")
                self.access.pause(seconds)
        return act(*arguments, **named)

    def open(self) -> None:
        """See that GitHub knows the token and the repository. Its answer names a user's rights, not those of an App."""
        self._call("GET", "")

    def host_keys(self) -> tuple[str, ...]:
        """Give the public keys by which GitHub's ssh hosts are known."""
        return tuple(self._json("GET", f"{self.access.api}/meta").get("ssh_keys", ()))

    def commit_of_tag(self, tag: str) -> str:
        """Give the commit a tag names, or nothing when there is no such tag."""
        found = self._find(f"/git/ref/tags/{_quoted(tag)}")
        if not found:
            return ""
        named = found["object"]
        if named["type"] == "tag":
            named = self._call("GET", f"/git/tags/{named['sha']}")["object"]
        return str(named["sha"])

    def releases(self) -> tuple[HostedRelease, ...]:
        """List all releases, drafts among them, newest first."""
        return tuple(_CONVERTER.structure(one, HostedRelease) for one in self._pages("/releases"))

    def release(self, number: int) -> HostedRelease:
        """Give a release by its number."""
        return _CONVERTER.structure(self._call("GET", f"/releases/{number}"), HostedRelease)

    def create_draft(self, tag: str, commit: str, *, title: str, notes: str, prerelease: bool) -> HostedRelease:
        """Make a draft, which nobody sees who may not write."""
        asked = {
            "tag_name": tag,
            "target_commitish": commit,
            "name": title,
            "body": notes,
            "draft": True,
            "prerelease": prerelease,
        }
        return _CONVERTER.structure(self._call("POST", "/releases", asked), HostedRelease)

    def publish(self, release: HostedRelease) -> HostedRelease:
        """Make a draft public, as the latest release unless it is a pre-release."""
        asked = {"draft": False, "make_latest": "false" if release.prerelease else "true"}
        return _CONVERTER.structure(self._call("PATCH", f"/releases/{release.id}", asked), HostedRelease)

    def delete_release(self, release: HostedRelease) -> None:
        """Remove a release; its tag stays."""
        self._call("DELETE", f"/releases/{release.id}")

    def assets(self, release: HostedRelease) -> tuple[HostedAsset, ...]:
        """List a release's assets, those that did not arrive whole among them."""
        pages = self._pages(f"/releases/{release.id}/assets")
        return tuple(_CONVERTER.structure(one, HostedAsset) for one in pages)

    def upload(self, release: HostedRelease, name: str, path: Path) -> HostedAsset:
        """Upload a file as a stream, and give its asset. GitHub may not know a new release everywhere at once: that passes."""
        url = f"{release.upload_url.partition('{')[0]}?name={_quoted(name)}"
        kind = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        answer = http.exchange("POST", url, headers={**self._headers(), **kind}, content=path)
        if answer.status == 404:
            raise UnavailableError(f"the upload host does not know the release of {name} yet")
        return _CONVERTER.structure(_read_json(answer, "POST", url), HostedAsset)

    def delete_asset(self, asset: HostedAsset) -> None:
        """Remove an asset of a draft."""
        self._call("DELETE", f"/releases/assets/{asset.id}")

    def digest_of(self, asset: HostedAsset, into: Path | None = None) -> tuple[int, str]:
        """Read an asset's bytes back, perhaps into a file: give their number and sha256."""
        url = f"{self._root}/releases/assets/{asset.id}"
        headers = self._headers("application/octet-stream")
        answer = http.exchange("GET", url, headers=headers, kept=1024, into=into)
        _refuse_failure(answer, "GET", url)
        return answer.size, answer.sha256

    def public_digest_of(self, url: str) -> str:
        """Fetch a file as Homebrew does, without a token, and give its sha256. What is not there yet may come."""
        here = url.replace(PUBLIC, self.access.server, 1) if url.startswith(f"{PUBLIC}/") else url
        answer = http.exchange("GET", here, headers={"User-Agent": "Homebrew"}, kept=1024)
        if answer.status == 404:
            raise UnavailableError(f"{here}: the server answered 404")
        _refuse_failure(answer, "GET", here)
        return answer.sha256

    def attestations(self, sha256: str) -> tuple[Mapping[str, Any], ...]:
        """Give the in-toto statements that GitHub holds about a digest, without checking who signed them."""
        found = self._find(f"/attestations/sha256:{sha256}") or {"attestations": []}
        envelopes = [one["bundle"]["dsseEnvelope"] for one in found["attestations"]]
        return tuple(json.loads(base64.b64decode(envelope["payload"])) for envelope in envelopes)

    def find_pull(self, head: str, base: str) -> str:
        """Give the address of the open pull request from a branch of this repository, or nothing."""
        owner = self.repository.partition("/")[0]
        query = urllib.parse.urlencode({"head": f"{owner}:{head}", "base": base, "state": "open"})
        return next((str(pull["html_url"]) for pull in self._pages("/pulls", query)), "")

    def open_pull(self, head: str, base: str, *, title: str, body: str) -> str:
        """Open a pull request and give its address."""
        asked = {"head": head, "base": base, "title": title, "body": body}
        return str(self._call("POST", "/pulls", asked)["html_url"])

    def find_issue(self, title: str) -> int:
        """Give the number of the open issue of this title, 0 when there is none; GitHub lists pull requests among them."""
        issues = (one for one in self._pages("/issues", "state=open") if "pull_request" not in one)
        return next((int(one["number"]) for one in issues if one["title"] == title), 0)

    def open_issue(self, title: str, body: str) -> str:
        """Open an issue and give its address."""
        return str(self._call("POST", "/issues", {"title": title, "body": body})["html_url"])

    def comment(self, issue: int, text: str) -> None:
        """Add a comment to an issue."""
        self._call("POST", f"/issues/{issue}/comments", {"body": text})

    def close_issue(self, number: int) -> None:
        """Close an issue as done."""
        self._call("PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "completed"})

    @property
    def _root(self) -> str:
        return f"{self.access.api}/repos/{self.repository}"

    def _find(self, path: str) -> Any:
        """Ask for what may not be there; None where it is not."""
        try:
            return self._call("GET", path)
        except GitHubError as error:
            if error.status == 404:
                return None
            raise

    def _call(self, method: str, path: str, asked: Mapping[str, object] | None = None) -> Any:
        return self._json(method, self._root + path, asked)

    def _json(self, method: str, url: str, asked: Mapping[str, object] | None = None) -> Any:
        content = b"" if asked is None else json.dumps(asked).encode()
        return _read_json(http.exchange(method, url, headers=self._headers(), content=content), method, url)

    def _pages(self, path: str, query: str = "") -> Iterator[Any]:
        url = f"{self._root}{path}?{query}{'&' if query else ''}per_page=100"
        while url:
            answer = http.exchange("GET", url, headers=self._headers())
            yield from _read_json(answer, "GET", url)
            following = re.search(r'<([^<>]+)>; rel="next"', answer.headers.get("link", ""))
            url = following[1] if following else ""

    def _headers(self, accept: str = "application/vnd.github+json") -> dict[str, str]:
        return {
            "Accept": accept,
            "Authorization": f"Bearer {self.access.token}",
            "User-Agent": "stigmer-packaging",
            "X-GitHub-Api-Version": "2022-11-28",
        }


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _read_json(answer: http.Answer, method: str, url: str) -> Any:
    """Give what an answer says, or raise what _refuse_failure does."""
    _refuse_failure(answer, method, url)
    try:
        return json.loads(answer.body or b"null")
    except ValueError:
        raise UnavailableError(f"{method} {url}: the answer is no JSON") from None


def _refuse_failure(answer: http.Answer, method: str, url: str) -> None:
    """Raise what helps: UnavailableError when waiting does, TokenError when another token does, else GitHubError."""
    if answer.status < 300:
        return
    said = f"{method} {url}: GitHub answered {answer.status}: {_message_of(answer)}"
    wait = _wait_of(answer)
    if answer.status in _PASSING or wait:
        raise UnavailableError(said, wait)
    if answer.status == 401:
        raise TokenError(f"{said}; the token is wrong, expired or revoked")
    if answer.status == 403:
        raise TokenError(f"{said}; the token may not do this")
    if answer.status == 404 and method != "GET":
        raise TokenError(f"{said}; it says so, too, where the token may read and not write")
    raise GitHubError(said, answer.status)


def _wait_of(answer: http.Answer) -> float:
    """Give how many seconds a limit lasts, by the server's clock and not ours; 0 when it is no limit."""
    if answer.status not in {403, 429}:
        return 0
    headers = answer.headers
    if (after := headers.get("retry-after", "")).isdigit():
        return float(after) or 1
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        now = email.utils.parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else time.time()
        return max(float(headers["x-ratelimit-reset"]) - now, 0) + 1
    limited = answer.status == 429 or "rate limit" in _message_of(answer).lower()
    return _UNNAMED_LIMIT if limited else 0


def _message_of(answer: http.Answer) -> str:
    try:
        told = json.loads(answer.body)
        errors = [one.get("message") or one if isinstance(one, dict) else one for one in told.get("errors", [])]
        return "; ".join(map(str, (told["message"], *errors)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "no message"
