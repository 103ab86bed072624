"""The part of GitHub's REST API that releasing needs: one method per request, and errors distinguished by their remedy.

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
import cramjam

from stigmer_packaging.lib import http
from stigmer_packaging.lib.errors import GitHubError, TokenError, UnavailableError

PUBLIC = "https://github.com"
API = "https://api.github.com"
ATTEMPTS = 6
LONGEST_WAIT = 900
"""The longest rate limit to wait for, in seconds; a longer one ends the run, which can be resumed later."""

_TRANSIENT = http.TRANSIENT | {409}
_UNNAMED_LIMIT = 60  # seconds; what GitHub's documentation asks for when a rate limit names no time
_CONVERTER = cattrs.Converter()
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class HostedRelease:
    """A release, with GitHub's own field names."""

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
    """An asset; its `state` is `uploaded`, or `starter` after an incomplete upload."""

    id: int
    name: str
    state: str
    size: int
    digest: str | None = None

    def holds(self, size: int, sha256: str) -> bool:
        """Return whether the upload is complete and matches; a digest is not compared if an old server reports none."""
        return self.state == "uploaded" and self.size == size and self.digest in {None, f"sha256:{sha256}"}


@dataclass(frozen=True)
class Access:
    """How to reach GitHub: token, URLs, where to report waits, how to sleep (seconds), and the number of attempts."""

    token: str = field(repr=False)
    api: str = API
    server: str = PUBLIC
    report: Callable[[str], None] = lambda _: None
    pause: Callable[[float], None] = time.sleep
    attempts: int = ATTEMPTS


@dataclass(frozen=True)
class GitHub:
    """A repository on GitHub. Each method except `retry` sends one request, or one per page for lists."""

    access: Access
    repository: str

    def retry(self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Retry `call`, which must be safe to repeat, until it succeeds; wait as the server asks, or longer each time.

        UnavailableError after the last attempt, or at once if a limit lasts longer than LONGEST_WAIT.
        """
        for attempt in range(1, self.access.attempts):
            try:
                return call(*arguments, **named)
            except UnavailableError as error:
                if error.wait > LONGEST_WAIT:
                    raise
                seconds = error.wait or 2 ** (attempt - 1)
                self.access.report(f"{error}; retrying in {seconds:g} s")
                self.access.pause(seconds)
        return call(*arguments, **named)

    def check_access(self) -> None:
        """Check that GitHub accepts the token and knows the repository.

        Permissions are not checked: the response lists those of a user, but not those of an App.
        """
        self._call("GET", "")

    def host_keys(self) -> tuple[str, ...]:
        """Return the public keys of GitHub's ssh hosts."""
        return tuple(self._json("GET", f"{self.access.api}/meta").get("ssh_keys", ()))

    def commit_of_tag(self, tag: str) -> str:
        """Return the commit that a tag points to, or an empty string if there is no such tag."""
        found = self._find(f"/git/ref/tags/{_quoted(tag)}")
        if not found:
            return ""
        target = found["object"]
        if target["type"] == "tag":
            target = self._call("GET", f"/git/tags/{target['sha']}")["object"]
        return str(target["sha"])

    def releases(self) -> tuple[HostedRelease, ...]:
        """Return all releases including drafts, newest first."""
        return tuple(_CONVERTER.structure(one, HostedRelease) for one in self._pages("/releases"))

    def release(self, number: int) -> HostedRelease:
        """Return a release by its id."""
        return _CONVERTER.structure(self._call("GET", f"/releases/{number}"), HostedRelease)

    def create_draft(self, tag: str, commit: str, *, title: str, notes: str, prerelease: bool) -> HostedRelease:
        """Create a draft release, which only users with write access can see; `commit` as in `publish`."""
        body = {
            "tag_name": tag,
            **_target(commit),
            "name": title,
            "body": notes,
            "draft": True,
            "prerelease": prerelease,
        }
        return _CONVERTER.structure(self._call("POST", "/releases", body), HostedRelease)

    def publish(self, release: HostedRelease, tag: str, commit: str) -> HostedRelease:
        """Publish a draft under a tag, as the latest release unless it is a pre-release.

        GitHub creates the tag at `commit`, which is empty if the tag exists. A change that does not name a draft's tag
        would replace it by `untagged-…`.
        """
        latest = "false" if release.prerelease else "true"
        body = {"tag_name": tag, **_target(commit), "draft": False, "make_latest": latest}
        return _CONVERTER.structure(self._call("PATCH", f"/releases/{release.id}", body), HostedRelease)

    def delete_release(self, release: HostedRelease) -> None:
        """Delete a release unless it is gone; its tag stays."""
        self._delete(f"/releases/{release.id}")

    def assets(self, release: HostedRelease) -> tuple[HostedAsset, ...]:
        """Return the assets of a release, including incomplete uploads."""
        pages = self._pages(f"/releases/{release.id}/assets")
        return tuple(_CONVERTER.structure(one, HostedAsset) for one in pages)

    def upload(self, release: HostedRelease, name: str, path: Path) -> HostedAsset:
        """Upload a file as a stream and return its asset.

        UnavailableError while GitHub does not know a new release, or if an earlier upload without an answer arrived.
        """
        url = f"{release.upload_url.partition('{')[0]}?name={_quoted(name)}"
        file_headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        response = http.request("POST", url, headers={**self._headers(), **file_headers}, content=path)
        if response.status == 404:
            raise UnavailableError(f"the upload host does not know the release of {name} yet")
        if response.status == 422 and "already_exists" in _message_of(response):
            raise UnavailableError(f"an earlier upload of {name} has arrived")
        return _CONVERTER.structure(_read_json(response, "POST", url), HostedAsset)

    def delete_asset(self, asset: HostedAsset) -> None:
        """Delete an asset of a draft unless it is gone."""
        self._delete(f"/releases/assets/{asset.id}")

    def digest_of(self, asset: HostedAsset, into: Path | None = None) -> tuple[int, str]:
        """Download an asset, optionally to a file, and return its size and sha256."""
        url = f"{self._root}/releases/assets/{asset.id}"
        headers = self._headers("application/octet-stream")
        response = http.request("GET", url, headers=headers, body_limit=1024, into=into)
        _raise_for_status(response, "GET", url)
        return response.size, response.sha256

    def public_digest_of(self, url: str) -> str:
        """Download a file like Homebrew, without a token, and return its sha256; UnavailableError if it is missing."""
        address = url.replace(PUBLIC, self.access.server, 1) if url.startswith(f"{PUBLIC}/") else url
        response = http.request("GET", address, headers={"User-Agent": "Homebrew"}, body_limit=1024)
        if response.status == 404:
            raise UnavailableError(f"{address}: the server answered 404")
        _raise_for_status(response, "GET", address)
        return response.sha256

    def attestations(self, sha256: str) -> tuple[Mapping[str, Any], ...]:
        """Return the in-toto statements that GitHub stores for a digest, without verifying their signatures."""
        found = self._find(f"/attestations/sha256:{sha256}") or {"attestations": []}
        bundles = [one.get("bundle") or _stored_bundle(one["bundle_url"]) for one in found["attestations"]]
        return tuple(json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])) for bundle in bundles)

    def find_pull_request(self, head: str, base: str) -> str:
        """Return the URL of the open pull request from a branch of this repository, or an empty string."""
        owner = self.repository.partition("/")[0]
        query = urllib.parse.urlencode({"head": f"{owner}:{head}", "base": base, "state": "open"})
        return next((str(pull["html_url"]) for pull in self._pages("/pulls", query)), "")

    def open_pull_request(self, head: str, base: str, *, title: str, body: str) -> str:
        """Open a pull request and return its URL."""
        fields = {"head": head, "base": base, "title": title, "body": body}
        return str(self._call("POST", "/pulls", fields)["html_url"])

    def find_issue(self, title: str) -> int:
        """Return the number of the open issue with this title, or 0; GitHub's list also contains pull requests."""
        issues = (one for one in self._pages("/issues", "state=open") if "pull_request" not in one)
        return next((int(one["number"]) for one in issues if one["title"] == title), 0)

    def open_issue(self, title: str, body: str) -> str:
        """Open an issue and return its URL."""
        return str(self._call("POST", "/issues", {"title": title, "body": body})["html_url"])

    def comment(self, issue: int, text: str) -> None:
        """Add a comment to an issue."""
        self._call("POST", f"/issues/{issue}/comments", {"body": text})

    def close_issue(self, number: int) -> None:
        """Close an issue as completed."""
        self._call("PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "completed"})

    @property
    def _root(self) -> str:
        return f"{self.access.api}/repos/{self.repository}"

    def _find(self, path: str) -> Any:
        """Return the response to a GET request, or None if it is 404."""
        try:
            return self._call("GET", path)
        except GitHubError as error:
            if error.status == 404:
                return None
            raise

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        return self._json(method, self._root + path, body)

    def _delete(self, path: str) -> None:
        """Delete what may be gone: an earlier attempt may have succeeded without an answer, and lists may lag behind."""
        url = self._root + path
        response = http.request("DELETE", url, headers=self._headers())
        if response.status != 404:
            _raise_for_status(response, "DELETE", url)

    def _json(self, method: str, url: str, body: Mapping[str, object] | None = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return _read_json(http.request(method, url, headers={**self._headers(), **kind}, content=content), method, url)

    def _pages(self, path: str, query: str = "") -> Iterator[Any]:
        url = f"{self._root}{path}?{query}{'&' if query else ''}per_page=100"
        while url:
            response = http.request("GET", url, headers=self._headers())
            yield from _read_json(response, "GET", url)
            next_page = re.search(r'<([^<>]+)>; rel="next"', response.headers.get("link", ""))
            url = next_page[1] if next_page else ""

    def _headers(self, accept: str = "application/vnd.github+json") -> dict[str, str]:
        return {
            "Accept": accept,
            "Authorization": f"Bearer {self.access.token}",
            "User-Agent": "stigmer-packaging",
            "X-GitHub-Api-Version": "2022-11-28",
        }


def _stored_bundle(url: str) -> Any:
    """Download an attestation's bundle, compressed with snappy, from its storage.

    The storage must not get the token: the URL itself gives access, for a limited time. UnavailableError if it does not.
    """
    response = http.request("GET", url, headers={"User-Agent": "stigmer-packaging"})
    place = url.partition("?")[0]
    if response.status >= 300:
        raise UnavailableError(f"GET {place}: the storage answered {response.status}")
    try:
        return json.loads(bytes(cramjam.snappy.decompress_raw(response.body)))
    except (ValueError, cramjam.DecompressionError) as error:
        raise UnavailableError(f"GET {place}: the response is not an attestation: {error}") from error


def _target(commit: str) -> dict[str, str]:
    return {"target_commitish": commit} if commit else {}


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _read_json(response: http.Response, method: str, url: str) -> Any:
    """Return the JSON of a response; raise like `_raise_for_status`, or UnavailableError if the body is not JSON."""
    _raise_for_status(response, method, url)
    try:
        return json.loads(response.body or b"null")
    except ValueError:
        raise UnavailableError(f"{method} {url}: the response is not JSON") from None


def _raise_for_status(response: http.Response, method: str, url: str) -> None:
    """Raise UnavailableError if waiting helps, TokenError if another token does, GitHubError for all other failures."""
    if response.status < 300:
        return
    message = f"{method} {url}: GitHub answered {response.status}: {_message_of(response)}"
    wait = _wait_of(response)
    if response.status in _TRANSIENT or wait:
        raise UnavailableError(message, wait)
    if response.status == 401:
        raise TokenError(f"{message}; the token is wrong, expired or revoked")
    if response.status == 403:
        raise TokenError(f"{message}; the token may not do this")
    if response.status == 404 and method != "GET":
        raise TokenError(f"{message}; GitHub also answers 404 if the token can read but not write")
    if response.status < 400:
        raise GitHubError(message, response.status, "the repository has been renamed: correct its name in the manifest")
    raise GitHubError(message, response.status)


def _wait_of(response: http.Response) -> float:
    """Return how many seconds a rate limit lasts, by the server's clock; 0 if the response is not a rate limit."""
    if response.status not in {403, 429}:
        return 0
    headers = response.headers
    if (after := headers.get("retry-after", "")).isdigit():
        return float(after) or 1
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        now = email.utils.parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else time.time()
        return max(float(headers["x-ratelimit-reset"]) - now, 0) + 1
    limited = response.status == 429 or "rate limit" in _message_of(response).lower()
    return _UNNAMED_LIMIT if limited else 0


def _message_of(response: http.Response) -> str:
    try:
        content = json.loads(response.body)
        errors = [one.get("message") or one if isinstance(one, dict) else one for one in content.get("errors", [])]
        return "; ".join(map(str, (content["message"], *errors)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "no message"
