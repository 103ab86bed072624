"""Answers of the fake GitHub, without sockets: the REST routes used by releasing, and the public downloads."""

import base64
import contextlib
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cramjam

from support.fake_github_world import FakeAsset, FakeRelease, FakeRepository, Json, RefusedError, sha256

KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake",)


class Request(NamedTuple):
    """A request: header names are in lower case, and `path` does not include the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """An answer; a `torn` one breaks off in the middle of its body."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    torn: bool = False


@dataclass
class FakeGitHub:
    """All repositories, and the right of each token: `read` or `write`. As on GitHub, `storage` is another origin."""

    repositories: Mapping[str, FakeRepository]
    tokens: Mapping[str, str]
    server: str = ""
    storage: str = ""

    @property
    def api(self) -> str:
        """The URL of the API."""
        return f"{self.server}/api"

    def answer(self, request: Request) -> Answer:
        """Answer as the web server, the API, the upload host or the storage does, depending on the path."""
        try:
            if request.path.startswith("/storage/"):
                return self._stored(request)
            if download := re.fullmatch(r"/([^/]+/[^/]+)/releases/download/([^/]+)/([^/]+)", request.path):
                return self._download(*map(urllib.parse.unquote, download.groups()))
            return self._rest(request)
        except RefusedError as refused:
            answer = {
                "message": refused.message,
                "errors": refused.errors,
                "documentation_url": "https://docs.github.com",
            }
            return _json(refused.status, answer)

    def right_of(self, token: str) -> str:
        """Return the right of a token: `read` or `write`, or `nothing` (beyond public reading) without a token."""
        if token and token not in self.tokens:
            raise RefusedError(401, "Bad credentials")
        return self.tokens.get(token, "nothing")

    def _stored(self, request: Request) -> Answer:
        if "authorization" in request.headers:
            return Answer(400, b"<Error>Only one auth mechanism allowed</Error>")
        if bundle := re.fullmatch(r"/storage/attestations/(.+)/(\d+)\.json\.sn", request.path):
            return self._bundle(self.repositories[bundle[1]].attestations[int(bundle[2])])
        number = int(request.path.rpartition("/")[2])
        for repository in self.repositories.values():
            with contextlib.suppress(RefusedError):
                _, asset = repository.asset(number)
                return Answer(200, asset.content, (("Content-Type", "application/octet-stream"),))
        return Answer(404)

    @staticmethod
    def _bundle(statement: Json) -> Answer:
        """Answer with a statement's bundle, without signatures, in snappy's raw format."""
        envelope = {"payload": base64.b64encode(json.dumps(statement).encode()).decode(), "signatures": []}
        body = bytes(cramjam.snappy.compress_raw(json.dumps({"dsseEnvelope": envelope}).encode()))
        return Answer(200, body, (("Content-Type", "application/x-snappy"),))

    def _download(self, name: str, tag: str, file: str) -> Answer:
        if name in self.repositories:
            for asset in self.repositories[name].published(tag).assets:
                if asset.name == file:
                    return self.to_storage(asset)
        return Answer(404, b"Not Found", (("Content-Type", "text/plain"),))

    def to_storage(self, asset: FakeAsset) -> Answer:
        """Redirect the request for an asset's bytes to the storage."""
        return Answer(302, b"", (("Location", f"{self.storage}/storage/{asset.number}"),))

    def _rest(self, request: Request) -> Answer:
        if not request.headers.get("user-agent"):
            raise RefusedError(403, "Request forbidden by administrative rules: no User-Agent")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        right = self.right_of(token if scheme.lower() in {"bearer", "token"} else "")
        if (request.method, request.path) == ("GET", "/api/meta"):
            return _json(200, {"ssh_keys": KEYS})
        for method, pattern, handler in _ROUTES:
            match = re.fullmatch(pattern, request.path)
            if not match or method != request.method:
                continue
            name, *rest = match.groups()
            if name not in self.repositories:
                raise RefusedError(404, "Not Found")
            if method != "GET" and right == "nothing":
                raise RefusedError(401, "Requires authentication")
            if method != "GET" and right != "write":
                raise RefusedError(403, "Resource not accessible by integration")
            return handler(_Call(self, self.repositories[name], request, right), *rest)
        raise RefusedError(404, "Not Found")


class _Call(NamedTuple):
    """One API call on an existing repository."""

    github: FakeGitHub
    repository: FakeRepository
    request: Request
    right: str

    @property
    def pages(self) -> str:
        return f"{self.github.server}/{self.repository.name}"

    @property
    def fields(self) -> Json:
        """The fields of the request; GitHub's description allows no other type than JSON."""
        if self.request.headers.get("content-type") != "application/json":
            raise RefusedError(400, "Problems parsing JSON")
        return dict(json.loads(self.request.body))

    def describe(self, release: FakeRelease) -> Json:
        """Describe a release. Its `assets` omit failed uploads, which only the assets route lists."""
        shown = f"untagged-{release.number}" if release.draft else release.tag
        uploads = f"{self.github.server}/uploads/repos/{self.repository.name}/releases/{release.number}"
        return {
            "id": release.number,
            "tag_name": release.tag,
            "target_commitish": release.target,
            "name": release.title,
            "body": release.notes,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "immutable": release.immutable,
            "html_url": f"{self.pages}/releases/tag/{shown}",
            "upload_url": f"{uploads}/assets{{?name,label}}",
            "assets": [_describe_asset(asset) for asset in release.assets if asset.state == "uploaded"],
        }

    def seen(self, release: FakeRelease) -> FakeRelease:
        """Return a release if the caller may see it: a draft requires write access."""
        if release.draft and self.right != "write":
            raise RefusedError(404, "Not Found")
        return release


def _repository(call: _Call) -> Answer:
    return _json(200, {"full_name": call.repository.name, "default_branch": "main"})


def _releases(call: _Call) -> Answer:
    seen = [release for release in call.repository.releases if call.right == "write" or not release.draft]
    return _page(call, [call.describe(release) for release in seen])


def _create_release(call: _Call) -> Answer:
    return _json(201, call.describe(call.repository.create_release(call.fields)))


def _release(call: _Call, number: str) -> Answer:
    return _json(200, call.describe(call.seen(call.repository.release(int(number)))))


def _change_release(call: _Call, number: str) -> Answer:
    release = call.repository.release(int(number))
    call.repository.change_release(release, call.fields)
    return _json(200, call.describe(release))


def _delete_release(call: _Call, number: str) -> Answer:
    call.repository.delete_release(call.repository.release(int(number)))
    return Answer(204)


def _assets(call: _Call, number: str) -> Answer:
    release = call.seen(call.repository.release(int(number)))
    return _page(call, [_describe_asset(asset) for asset in release.assets])


def _asset(call: _Call, number: str) -> Answer:
    release, asset = call.repository.asset(int(number))
    call.seen(release)
    if asset.state != "uploaded":
        raise RefusedError(404, "Not Found")
    return call.github.to_storage(asset)


def _delete_asset(call: _Call, number: str) -> Answer:
    call.repository.delete_asset(*call.repository.asset(int(number)))
    return Answer(204)


def _upload(call: _Call, number: str) -> Answer:
    release = call.repository.release(int(number))
    asset = call.repository.add_asset(release, call.request.query["name"], call.request.body)
    return _json(201, _describe_asset(asset))


def _ref(call: _Call, ref: str) -> Answer:
    sha = call.repository.run_git("rev-parse", "--verify", "--quiet", f"refs/{ref}", check=False)
    if not sha:
        raise RefusedError(404, "Not Found")
    kind = call.repository.run_git("cat-file", "-t", sha)
    return _json(200, {"ref": f"refs/{ref}", "object": {"type": kind, "sha": sha}})


def _tag_object(call: _Call, sha: str) -> Answer:
    return _json(200, {"sha": sha, "object": {"type": "commit", "sha": call.repository.commit_of(sha)}})


def _pulls(call: _Call) -> Answer:
    query = call.request.query
    wanted = (query["head"].rpartition(":")[2], query["base"], query["state"])
    pulls = [one for one in call.repository.pulls if (one["head"], one["base"], one["state"]) == wanted]
    return _page(call, [_describe_pull(one) for one in pulls])


def _open_pull(call: _Call) -> Answer:
    return _json(201, _describe_pull(call.repository.open_pull_request(call.fields, call.pages)))


def _describe_pull(pull: Json) -> Json:
    return {**pull, "head": {"ref": pull["head"]}, "base": {"ref": pull["base"]}}


def _issues(call: _Call) -> Answer:
    return _page(call, [_describe_issue(issue) for issue in call.repository.issues if issue["state"] == "open"])


def _open_issue(call: _Call) -> Answer:
    number = call.repository.next_number()
    url = f"{call.pages}/issues/{number}"
    call.repository.issues.append({**call.fields, "number": number, "state": "open", "html_url": url, "comments": []})
    return _json(201, _describe_issue(call.repository.issues[-1]))


def _describe_issue(issue: Json) -> Json:
    return {**issue, "comments": len(issue.get("comments", ()))}


def _change_issue(call: _Call, number: str) -> Answer:
    issue = next(one for one in call.repository.issues if one["number"] == int(number))
    issue.update(call.fields)
    return _json(200, _describe_issue(issue))


def _comment(call: _Call, number: str) -> Answer:
    issue = next(one for one in call.repository.issues if one["number"] == int(number))
    issue["comments"].append(call.fields["body"])
    return _json(201, {})


def _attestations(call: _Call, sha256: str) -> Answer:
    """Answer with the URL of every statement about the digest; as on the real GitHub, the bundle itself is null."""
    root = f"{call.github.storage}/storage/attestations/{call.repository.name}"
    every = enumerate(call.repository.attestations)
    found = [f"{root}/{number}.json.sn?sig=x" for number, one in every if sha256 in json.dumps(one["subject"])]
    if not found:
        raise RefusedError(404, "Not Found")
    return _json(200, {"attestations": [{"bundle": None, "bundle_url": url, "initiator": "user"} for url in found]})


def _describe_asset(asset: FakeAsset) -> Json:
    """Describe an asset; an incomplete upload has no digest."""
    return {
        "id": asset.number,
        "name": asset.name,
        "state": asset.state,
        "size": len(asset.content),
        "digest": sha256(asset.content) if asset.state == "uploaded" else None,
    }


_REPOSITORY = r"/api/repos/([^/]+/[^/]+)"
_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", _REPOSITORY, _repository),
    ("GET", rf"{_REPOSITORY}/releases", _releases),
    ("POST", rf"{_REPOSITORY}/releases", _create_release),
    ("GET", rf"{_REPOSITORY}/releases/(\d+)", _release),
    ("PATCH", rf"{_REPOSITORY}/releases/(\d+)", _change_release),
    ("DELETE", rf"{_REPOSITORY}/releases/(\d+)", _delete_release),
    ("GET", rf"{_REPOSITORY}/releases/(\d+)/assets", _assets),
    ("GET", rf"{_REPOSITORY}/releases/assets/(\d+)", _asset),
    ("DELETE", rf"{_REPOSITORY}/releases/assets/(\d+)", _delete_asset),
    ("POST", r"/uploads/repos/([^/]+/[^/]+)/releases/(\d+)/assets", _upload),
    ("GET", rf"{_REPOSITORY}/git/ref/(.+)", _ref),
    ("GET", rf"{_REPOSITORY}/git/tags/([0-9a-f]+)", _tag_object),
    ("GET", rf"{_REPOSITORY}/attestations/sha256:([0-9a-f]{{64}})", _attestations),
    ("GET", rf"{_REPOSITORY}/pulls", _pulls),
    ("POST", rf"{_REPOSITORY}/pulls", _open_pull),
    ("GET", rf"{_REPOSITORY}/issues", _issues),
    ("POST", rf"{_REPOSITORY}/issues", _open_issue),
    ("PATCH", rf"{_REPOSITORY}/issues/(\d+)", _change_issue),
    ("POST", rf"{_REPOSITORY}/issues/(\d+)/comments", _comment),
)


def _page(call: _Call, rows: list[Any]) -> Answer:
    size = min(int(call.request.query.get("per_page", "30")), 100)
    page = int(call.request.query.get("page", "1"))
    links: tuple[tuple[str, str], ...] = ()
    if page * size < len(rows):
        query = urllib.parse.urlencode({**call.request.query, "page": page + 1})
        links = (("Link", f'<{call.github.server}{call.request.path}?{query}>; rel="next"'),)
    return _json(200, rows[(page - 1) * size : page * size], links)


def _json(status: int, value: Any, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    kind = ("Content-Type", "application/json; charset=utf-8")
    return Answer(status, json.dumps(value).encode(), (kind, *headers))
