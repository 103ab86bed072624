"""Access for publishing: tokens, limits and keys are checked before any change, and never appear in output."""

import base64
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from stigmer_packaging.lib import command, http
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import GitHubError, PackagingError, TapError, TokenError, UnavailableError
from stigmer_packaging.publish.github import Access, GitHub, HostedAsset, HostedRelease
from stigmer_packaging.publish.tap import git_environment, open_tap, with_deploy_key
from support.fake_github import Trouble, github_at
from support.fake_github_answers import Request
from support.native_code import place
from support.publishable import PATH
from support.publishing import ENVIRON, READER, REPOSITORY, TOKEN, PreparedRelease, state_of

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
"""The time 784111777. Source: the example of RFC 9110."""
RELEASE = HostedRelease(1, "v1", None, draft=True, prerelease=False, html_url="", upload_url="https://a.example{?name}")
ASSET = HostedAsset(1, "a", "uploaded", 1, f"sha256:{'a' * 64}")


@pytest.mark.parametrize(
    ("token", "tap_token", "message"),
    [
        ("ghs_expired", TOKEN, "the token is wrong, expired or revoked"),
        (READER, TOKEN, "Resource not accessible by integration; the token may not do this"),
        (TOKEN, "ghs_expired", "the tap refuses the token or key"),
        (TOKEN, READER, "the tap refuses the token or key"),
    ],
)
def test_an_expired_token_of_the_tap_is_reported_before_the_release_is_created(
    token: str, tap_token: str, message: str, prepared: PreparedRelease
) -> None:
    """Otherwise the release would be public but not in the tap. A token for the release is checked as early."""
    before = state_of(prepared)
    with pytest.raises(TokenError, match=re.escape(message)) as caught:
        prepared.publish(host=prepared.host(token), tap=prepared.tap(tap_token))
    assert caught.value.remedy
    assert [one for one in (token, tap_token) if one in str(caught.value)] == []
    assert state_of(prepared) == before


def test_two_publishers_at_once_leave_one_release_and_no_draft(prepared: PreparedRelease) -> None:
    """A complete second run happens between the first one's last check and its publication."""
    begun: list[Request] = []

    def overtake(request: Request) -> None:
        if request.path.endswith("/releases") and request.method == "POST" and not begun:
            begun.append(request)
            draft = prepared.repository.create_release(json.loads(request.body))
            for file in prepared.plan.assets:
                content = (prepared.folder / file.name).read_bytes()
                prepared.repository.add_asset(draft, file.asset, content)
            prepared.repository.change_release(draft, {"tag_name": draft.tag, "draft": False})

    prepared.github.before = overtake
    assert prepared.publish() == prepared.publish()
    assert [release.draft for release in prepared.repository.releases] == [False]


def test_a_missing_tap_or_branch_is_reported_before_anything_is_created(prepared: PreparedRelease) -> None:
    tap = prepared.tap()
    with pytest.raises(TapError, match="not found"):
        prepared.publish(tap=replace(tap, remote=tap.remote.replace(REPOSITORY, "stigmer/gone")))
    with pytest.raises(TapError, match="has no branch master"):
        prepared.publish(tap=replace(tap, branch="master"))
    assert prepared.repository.releases == []


def test_an_unknown_repository_differs_from_one_that_a_token_may_not_write(prepared: PreparedRelease) -> None:
    """GitHub's answer is the same for both."""
    host = replace(prepared.host(), repository="stigmer/gone")
    with pytest.raises(GitHubError, match="404: Not Found"):
        host.check_access()
    with pytest.raises(TokenError, match="can read but not write"):
        host.create_draft("v1.0.0", "c" * 40, title="", notes="", prerelease=False)


def test_a_repository_that_was_renamed_is_named_as_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub answers reads under the old name, too, but not changes."""
    host = _answering(monkeypatch, 307, b'{"message": "Moved Permanently"}')
    with pytest.raises(GitHubError, match="307: Moved Permanently") as caught:
        host.create_draft("v1.0.0", "", title="", notes="", prerelease=False)
    assert "renamed" in caught.value.remedy


@pytest.mark.parametrize(("status", "seconds"), [("429", 7), ("403", 10)])
def test_a_limit_is_waited_for_by_githubs_clock_and_not_ours(
    status: str, seconds: float, prepared: PreparedRelease
) -> None:
    """The fake's clock differs widely from this machine's."""
    assert abs(time.time() - 1_795_000_000) > 3600
    prepared.github.trouble = Trouble(12, status, lasting=False)
    prepared.publish()
    assert prepared.waits == [seconds]


def _answering(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, headers: Mapping[str, str] = MappingProxyType({})
) -> GitHub:
    """Return a client of a GitHub that answers every request alike."""
    monkeypatch.setattr(http, "request", lambda *_, **__: http.Response(status, headers, body, len(body), ""))
    return GitHub(Access(TOKEN), REPOSITORY)


@pytest.mark.parametrize(
    ("status", "headers", "message", "wait"),
    [
        (403, {"retry-after": "30"}, "secondary", 30),
        (429, {"retry-after": "0"}, "at once", 1),
        (429, {"retry-after": "soon"}, "no number", 60),
        (403, {}, "You have exceeded a secondary rate limit", 60),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "784111787", "date": DATE}, "in 10 s", 11),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "784111000", "date": DATE}, "over", 1),
        (409, {}, "conflict", 0),
        (503, {"retry-after": "30"}, "busy", 0),
    ],
)
def test_an_answer_that_asks_to_wait_is_told_from_a_refusal(
    status: int, headers: dict[str, str], message: str, wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = _answering(monkeypatch, status, json.dumps({"message": message}).encode(), headers)
    with pytest.raises(UnavailableError, match=message) as caught:
        host.check_access()
    assert caught.value.wait == wait


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "784111787"}])
def test_a_refusal_is_not_waited_for(headers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TokenError, match="no message; the token may not do this"):
        _answering(monkeypatch, 403, b"[]", headers).check_access()


@pytest.mark.parametrize(
    ("status", "body", "call", "error"),
    [
        (200, b"<html>", lambda host: host.check_access(), UnavailableError),
        (404, b"{}", lambda host: host.upload(RELEASE, "a", Path(__file__)), UnavailableError),
        (404, b"{}", lambda host: host.public_digest_of("https://github.com/a"), UnavailableError),
        (502, b"{}", lambda host: host.public_digest_of("https://github.com/a"), UnavailableError),
        (502, b"{}", lambda host: host.digest_of(ASSET), UnavailableError),
        (404, b"{}", lambda host: host.digest_of(ASSET), GitHubError),
        (410, b"{}", lambda host: host.commit_of_tag("v1"), GitHubError),
    ],
)
def test_an_answer_that_is_no_success_is_an_error(
    status: int,
    body: bytes,
    call: Callable[[GitHub], object],
    error: type[PackagingError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For instance, a tag counts as missing only if GitHub says so."""
    with pytest.raises(error) as caught:
        call(_answering(monkeypatch, status, body))
    assert type(caught.value) is error


def _attesting(monkeypatch: pytest.MonkeyPatch, attestation: object, stored: bytes, status: int = 200) -> GitHub:
    """Return a client of a GitHub with one attestation, whose storage answers with the status and the bytes."""

    def respond(_method: str, url: str, *, headers: Mapping[str, str], **_: object) -> http.Response:
        at_storage = url.startswith("https://storage.example/")
        assert at_storage != ("Authorization" in headers), "only GitHub gets the token"
        body = stored if at_storage else json.dumps({"attestations": [attestation]}).encode()
        return http.Response(status if at_storage else 200, {}, body, len(body), "")

    monkeypatch.setattr(http, "request", respond)
    return GitHub(Access(TOKEN), REPOSITORY)


def test_an_attestation_is_part_of_the_answer_or_has_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = {"dsseEnvelope": {"payload": base64.b64encode(b"{}").decode()}}
    text = json.dumps(bundle).encode()
    stored = bytes([len(text), (len(text) - 1) << 2]) + text
    for one in ({"bundle": bundle}, {"bundle": None, "bundle_url": "https://storage.example/1.json.sn"}):
        assert _attesting(monkeypatch, one, stored).attestations("a" * 64) == ({},)


@pytest.mark.parametrize("stored", [b"<html>", b"\x01\x00{"], ids=["another format", "another text"])
def test_a_damaged_attestation_is_an_error_that_does_not_name_the_key_to_it(
    stored: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"bundle": None, "bundle_url": "https://storage.example/1.json.sn?sig=secret"}
    with pytest.raises(UnavailableError, match=r"1\.json\.sn: the response is not an attestation") as caught:
        _attesting(monkeypatch, one, stored).attestations("a" * 64)
    assert "secret" not in str(caught.value)


def test_a_url_of_an_attestation_that_has_expired_is_no_fault_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage never gets the token; another request to GitHub gets another URL."""
    one = {"bundle": None, "bundle_url": "https://storage.example/1.json.sn?sig=secret"}
    with pytest.raises(UnavailableError, match=r"^GET https://storage\.example/1\.json\.sn: the storage answered 403$"):
        _attesting(monkeypatch, one, b"<Error/>", 403).attestations("a" * 64)


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"digest": None}, True),
        ({"state": "starter"}, False),
        ({"size": 2}, False),
        ({"digest": "x"}, False),
    ],
)
def test_an_asset_counts_only_if_it_is_complete_and_has_the_same_bytes(
    change: dict[str, object],
    holds: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert replace(ASSET, **change).holds(1, "a" * 64) is holds  # type: ignore[arg-type] # the test names valid fields


@pytest.mark.parametrize(("asked", "waited"), [(0, [1, 2, 4, 8, 16]), (3000, [])])
def test_each_attempt_waits_longer_and_a_limit_that_lasts_too_long_ends_the_run_at_once(
    asked: float, waited: list[float]
) -> None:
    waits: list[float] = []

    def fail() -> None:
        raise UnavailableError("gone", asked)

    with pytest.raises(UnavailableError, match="gone"):
        GitHub(Access("t", pause=waits.append), REPOSITORY).retry(fail)
    assert waits == waited


def test_a_release_among_hundreds_is_found_on_a_later_page(prepared: PreparedRelease) -> None:
    prepared.publish()
    [ours] = prepared.repository.releases
    for number in range(230):
        prepared.repository.create_release({"tag_name": f"test-{number}", "draft": True})
    assert prepared.repository.releases[-1] is ours
    before = len(prepared.repository.releases)
    prepared.publish()
    assert len(prepared.repository.releases) == before


def test_the_token_is_only_in_the_requests(prepared: PreparedRelease, capfd: pytest.CaptureFixture[str]) -> None:
    """It is not in reports, errors, program arguments, the result, or files."""
    output: list[str] = []
    plan = prepared.proposal()
    with command.observed(output.append):
        for number in (1, 4, 12, 20, 4, 12, 16):
            prepared.github.trouble = Trouble(len(prepared.github.log) + number, "unanswered")
            prepared.attempts = 2
            with pytest.raises(PackagingError) as caught:
                prepared.publish(plan)
            output += [str(caught.value), repr(caught.value), caught.value.remedy, repr(prepared.tap())]
            prepared.github.trouble = Trouble()
        output.append(str(prepared.publish(plan)))
    output += [*prepared.reports, *capfd.readouterr()]
    assert any(line.startswith("+ git") for line in output)
    needles = [TOKEN, "eC1hY2Nlc3MtdG9rZW46"]  # the latter: encoded for git's header
    assert [line for line in output for needle in needles if needle in line] == []
    files = [path for path in prepared.root.rglob("*") if path.is_file()]
    assert [path for path in files for needle in needles if needle.encode() in path.read_bytes()] == []
    sent = [line for line in prepared.github.authorizations if line]
    assert sum(needle in line for line in sent for needle in needles) == len(sent)


def test_a_download_by_users_carries_no_token(prepared: PreparedRelease) -> None:
    prepared.publish()
    pairs = zip(prepared.github.log, prepared.github.authorizations, strict=True)
    public = [sent for line, sent in pairs if "/releases/download/" in line or "/storage/" in line]
    assert public
    assert set(public) == {""}


def test_a_deploy_key_reaches_ssh_as_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    """A stand-in for ssh serves the repository from disk."""
    tools, root = tmp_path / "bin", tmp_path / "github"
    with github_at(root, [REPOSITORY], {TOKEN: "write"}) as github:
        repository = github.world.repositories[REPOSITORY]
        script = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nfor last; do :; done\ncd {root} && eval "$last"\n'
        place(tools / "ssh", script.encode())
        env = git_environment(build_environment({**ENVIRON, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}), "R")
        host = GitHub(Access(TOKEN, github.world.api), REPOSITORY)
        env = with_deploy_key(env, "-----BEGIN KEY-----\nsecret\n", "github.com", host.host_keys(), tmp_path)
        tap = open_tap(f"git@github.com:{REPOSITORY}.git", "main", tmp_path / "tap.git", env, host)
        commit = tap.commit(tap.head(), PATH, "class A; end\n", "A\n")
        assert tap.push(commit, "main")
        assert repository.commit_of("main") == commit
    [key] = tmp_path.glob("deploy-key")
    assert key.stat().st_mode & 0o777 == 0o600
    asked = (tmp_path / "asked").read_text(encoding="ascii")
    assert "secret" not in asked
    assert "StrictHostKeyChecking=yes" in asked
    assert (tmp_path / "known-hosts").read_text(encoding="ascii").startswith("github.com ssh-ed25519 ")
