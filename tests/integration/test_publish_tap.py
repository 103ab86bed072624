"""The update of the tap: concurrent pushes, newer formulas that are not reverted, and proposed changes."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from stigmer_packaging.lib.errors import GitHubError, PublicationError, TapError
from support.fake_github_answers import Request
from support.native_code import place
from support.publishable import PATH
from support.publishing import PreparedRelease, change_tap


def test_a_concurrent_push_is_kept_and_the_formula_is_added(prepared: PreparedRelease) -> None:
    theirs = ["Formula/other-0.rb", "Formula/other-1.rb"]
    left = list(theirs)

    def race(request: Request) -> None:
        if request.path.endswith("git-receive-pack") and left:
            change_tap(prepared.repository, left.pop(), "class Other; end\n")

    prepared.github.before = race
    prepared.publish()
    names = prepared.repository.run_git("ls-tree", "-r", "--name-only", "main").splitlines()
    assert names == [*theirs, PATH]
    assert prepared.repository.run_git("rev-list", "--count", "main") == "4"


def test_a_newer_formula_that_comes_first_is_not_reverted(prepared: PreparedRelease) -> None:
    newer = (prepared.folder / PATH).read_text(encoding="utf-8").replace("2.0.0", "2.0.1")

    def race(request: Request) -> None:
        if request.path.endswith("git-receive-pack"):
            prepared.github.before = lambda _: None
            change_tap(prepared.repository, PATH, newer)

    prepared.github.before = race
    with pytest.raises(PublicationError, match=r"a step backwards for users: the tap's formula is at 2\.0\.1"):
        prepared.publish()
    assert prepared.formula() == newer.strip()


@pytest.mark.parametrize(
    ("published", "refused"), [("2.0.1", True), ("2.1.0-rc.1", False), ("1.9.0", False), ("test-1", False)]
)
def test_only_a_newer_published_version_prevents_a_release(
    published: str,
    refused: bool,  # noqa: FBT001 - a parameter of the test
    prepared: PreparedRelease,
) -> None:
    tag = published if published.startswith("test") else f"v{published}"
    prepared.repository.create_release({"tag_name": tag, "prerelease": "-" in published})
    if refused:
        with pytest.raises(PublicationError, match=r"a step backwards: v2\.0\.1 is published"):
            prepared.publish()
        assert len(prepared.repository.releases) == 1
    else:
        prepared.publish()


def test_a_newer_pre_release_prevents_a_pre_release(prepared: PreparedRelease) -> None:
    prepared.repository.create_release({"tag_name": "v2.1.0-rc.2", "prerelease": True})
    plan, folder = prepared.next_release("2.1.0-rc.1")
    with pytest.raises(PublicationError, match=r"a step backwards: v2\.1\.0-rc\.2 is published"):
        prepared.publish(plan, folder)


def test_a_newer_draft_does_not_prevent_a_release(prepared: PreparedRelease) -> None:
    prepared.repository.create_release({"tag_name": "v2.0.1", "draft": True})
    prepared.publish()
    assert "2.0.0" in prepared.formula()


def test_an_older_formula_without_a_bottle_is_replaced(prepared: PreparedRelease) -> None:
    old = 'class Stigmer < Formula\n  version "0.0.13"\n  url "https://a.example/x"\n  sha256 "aa"\nend\n'
    change_tap(prepared.repository, PATH, old)
    prepared.publish()
    assert "2.0.0" in prepared.formula()


def test_an_unreadable_formula_is_not_replaced(prepared: PreparedRelease) -> None:
    change_tap(prepared.repository, PATH, "class Stigmer < Formula\nend\n")
    with pytest.raises(PublicationError, match="the tap's formula is at an unreadable version"):
        prepared.publish()
    assert prepared.repository.releases == []


def test_a_pre_release_is_published_and_leaves_the_tap_alone(prepared: PreparedRelease) -> None:
    plan, folder = prepared.next_release("2.1.0-rc.1")
    done = prepared.publish(plan, folder)
    [release] = prepared.repository.releases
    assert (release.draft, release.prerelease) == (False, True)
    assert (done.tap, done.tap_commit, prepared.formula()) == ("", "", "")
    assert [line for line in prepared.github.log if ".git/" in line] == []


def test_a_protected_branch_is_reported_with_a_remedy(prepared: PreparedRelease) -> None:
    """A real git hook rejects the push, as GitHub's branch protection does."""
    hook = b"#!/bin/sh\necho 'error: GH006: Protected branch update failed'\nexit 1\n"
    place(prepared.repository.git / "hooks/pre-receive", hook)
    with pytest.raises(TapError, match="GH006") as caught:
        prepared.publish()
    assert "--pull-request" in caught.value.remedy


@pytest.mark.parametrize("reason", ["failure", "Internal Server Error"])
def test_a_fault_of_githubs_git_servers_is_waited_for(reason: str, prepared: PreparedRelease) -> None:
    """A stand-in for git answers the first push like a GitHub with a fault, and runs git from then on."""
    tools, line = prepared.root / "bin", f"!\\tHEAD:refs/heads/main\\t[remote rejected] ({reason})\\n"
    once = f'[ "$3 $5" != "push --dry-run" ] && [ "$3" = push ] && mkdir {tools}/pushed 2> /dev/null'
    script = f"#!/bin/sh\nif {once}; then\n  printf '{line}'\n  exit 1\nfi\nexec {shutil.which('git')} \"$@\"\n"
    place(tools / "git", script.encode())
    tap = prepared.tap()
    prepared.publish(tap=replace(tap, env={**tap.env, "PATH": f"{tools}{os.pathsep}{tap.env['PATH']}"}))
    assert prepared.waits == [1]
    assert "2.0.0" in prepared.formula()


def test_a_proposal_is_opened_once_and_counts_as_done_once_it_is_merged(prepared: PreparedRelease) -> None:
    plan = prepared.proposal()
    done = prepared.publish(plan)
    assert done.pull_request == prepared.publish(plan).pull_request
    assert len(prepared.repository.pulls) == 1
    assert prepared.formula() == ""
    prepared.repository.run_git("update-ref", "refs/heads/main", "refs/heads/stigmer-2.0.0")
    prepared.repository.pulls[0]["state"] = "closed"
    merged = prepared.publish(plan)
    assert (merged.pull_request, merged.tap_commit) == ("", done.tap_commit)


def test_a_pull_request_that_somebody_opens_at_the_same_time_is_used(prepared: PreparedRelease) -> None:
    def race(request: Request) -> None:
        if request.method == "POST" and request.path.endswith("/pulls"):
            prepared.github.before = lambda _: None
            prepared.repository.open_pull_request(json.loads(request.body), "https://github.example")

    prepared.github.before = race
    done = prepared.publish(prepared.proposal())
    assert [pull["html_url"] for pull in prepared.repository.pulls] == [done.pull_request]


def test_a_pull_request_that_github_refuses_is_an_error(prepared: PreparedRelease) -> None:
    def refuse(request: Request) -> None:
        if request.method == "POST" and request.path.endswith("/pulls"):
            prepared.repository.run_git("update-ref", "-d", "refs/heads/stigmer-2.0.0")

    prepared.github.before = refuse
    with pytest.raises(GitHubError, match="answered 422"):
        prepared.publish(prepared.proposal())


def test_a_branch_of_a_proposal_with_other_contents_is_left_alone(prepared: PreparedRelease) -> None:
    prepared.repository.run_git("update-ref", "refs/heads/stigmer-2.0.0", "refs/heads/main")
    with pytest.raises(TapError, match=r"the branch stigmer-2\.0\.0 of .* has a different"):
        prepared.publish(prepared.proposal())
