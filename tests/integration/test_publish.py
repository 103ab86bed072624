"""Publishing against a GitHub on this machine: what is done, what is refused, and what nobody ever gets to see."""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from stigmer_packaging.errors import (
    GitHubError,
    PackagingError,
    PublicationError,
    TapError,
    TokenError,
    UnavailableError,
)
from stigmer_packaging.publication import MARK, PublicationPlan, mark_of
from stigmer_packaging.stages.publish import abandon_draft, publish_release
from stigmer_packaging.tools import command
from stigmer_packaging.tools.environment import build_environment
from stigmer_packaging.tools.github import Access, GitHub, persist
from stigmer_packaging.tools.tap import git_environment, open_tap, with_deploy_key
from support.fake_github import RunningGitHub, Trouble, github_at
from support.fake_github_answers import Request
from support.fake_github_world import FakeAsset, FakeRelease, FakeRepository
from support.publishable import (
    ENVIRON,
    PATH,
    REPOSITORY,
    TOKEN,
    Observer,
    Publisher,
    expected_assets,
    first_commit,
    lay_release,
    manifest_of,
    plan_for,
    state_of,
)

READER = "ghs_mayOnlyRead"


class Studio(NamedTuple):
    """A GitHub, a release to publish there with its plan, and who publishes."""

    github: RunningGitHub
    publisher: Publisher
    folder: Path
    plan: PublicationPlan
    root: Path

    @property
    def repository(self) -> FakeRepository:
        """The repository on GitHub."""
        return self.github.world.repositories[REPOSITORY]

    def publish(self) -> str:
        """Publish, and give what is said of the tap: its commit or the pull request."""
        done = self.publisher.publish(self.plan, self.folder)
        return done.pull_request or done.tap_commit

    def next_release(self, version: str, content: str = "one") -> tuple[PublicationPlan, Path]:
        """Lay and plan another release."""
        folder = self.root / f"release-{version}-{content}"
        lay_release(folder, version, content=content)
        return plan_for(folder, self.plan.commit), folder

    def formula(self) -> str:
        """Give the tap's formula as everybody reads it."""
        return self.repository.run_git("show", f"main:{PATH}", check=False)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    """Give a fresh one."""
    folder = tmp_path / "release"
    lay_release(folder, "2.0.0")
    with github_at(tmp_path / "github", [REPOSITORY], {TOKEN: "write", READER: "read"}) as github:
        yield Studio(
            github, Publisher(github, tmp_path / "scratch"), folder, plan_for(folder, first_commit(github)), tmp_path
        )


def test_what_is_published_is_public_whole_and_named_by_the_tap(studio: Studio) -> None:
    done = studio.publisher.publish(studio.plan, studio.folder)
    [release] = studio.repository.releases
    assert (release.draft, release.prerelease, release.immutable) == (False, False, True)
    assert {asset.name: asset.content for asset in release.assets} == {
        file.name: (studio.folder / file.path).read_bytes() for file in studio.plan.assets
    }
    assert studio.repository.commit_of("refs/tags/v2.0.0") == studio.plan.commit
    assert studio.formula() == (studio.folder / PATH).read_text(encoding="utf-8").strip()
    assert (done.immutable, done.tap_commit) == (True, first_commit(studio.github))
    log = studio.repository.run_git("log", "-1", "--format=%an <%ae> %s", "main")
    assert log == "Release <noreply@github.com> stigmer 2.0.0"


def test_publishing_what_is_published_changes_nothing(studio: Studio) -> None:
    first = studio.publish()
    studio.github.log.clear()
    assert studio.publish() == first
    assert [line for line in studio.github.log if not line.startswith("GET") and "git-" not in line] == []
    assert [line for line in studio.github.log if "receive-pack" in line] == []


def test_a_tag_of_another_commit_is_refused_before_anything_is_made(studio: Studio) -> None:
    other = studio.repository.run_git("commit-tree", "main^{tree}", "-m", "Other", "-p", "main")
    studio.repository.run_git("update-ref", "refs/tags/v2.0.0", other)
    with pytest.raises(PublicationError, match=f"the tag v2.0.0 names {other}"):
        studio.publish()
    assert studio.repository.releases == []


def test_an_annotated_tag_of_the_commit_is_taken(studio: Studio) -> None:
    studio.repository.run_git("-c", "user.name=a", "-c", "user.email=a@a", "tag", "-a", "-m", "x", "v2.0.0", "main")
    studio.publish()
    assert not studio.repository.releases[0].draft


@pytest.mark.parametrize("immutable", [True, False])
def test_other_contents_under_a_published_tag_are_refused_and_nothing_is_overwritten(
    immutable: bool,  # noqa: FBT001 - a parameter of the test
    studio: Studio,
) -> None:
    studio.repository.immutable = immutable
    studio.publish()
    before = state_of(studio.github)
    plan, folder = studio.next_release("2.0.0", content="two")
    with pytest.raises(PublicationError, match=r"the release v2\.0\.0 on GitHub holds something else: .*bottle"):
        studio.publisher.publish(plan, folder)
    assert state_of(studio.github) == before


def _persons_draft(studio: Studio) -> FakeRelease:
    return studio.repository.create_release({"tag_name": "v2.0.0", "draft": True, "body": "I am still writing"})


def test_a_draft_of_somebody_else_is_left_alone(studio: Studio) -> None:
    draft = _persons_draft(studio)
    with pytest.raises(PublicationError, match=r"there is a draft of v2\.0\.0 with other contents"):
        studio.publish()
    assert studio.repository.releases == [draft]
    assert draft.assets == []


def test_abandoning_removes_our_own_drafts_and_nothing_else(studio: Studio) -> None:
    studio.github.trouble, studio.publisher.attempts = Trouble(20), 2
    with pytest.raises(UnavailableError):
        studio.publish()
    studio.github.trouble = Trouble()
    theirs = _persons_draft(studio)
    other_version = studio.repository.create_release({"tag_name": "v1.9.0", "draft": True, "body": studio.plan.mark})
    mark = mark_of(manifest_of("2.0.0").product, "")
    assert len(abandon_draft("v2.0.0", mark, studio.publisher.host(), rehearse=True)) == 1
    assert len(studio.repository.releases) == 3
    assert len(abandon_draft("v2.0.0", mark, studio.publisher.host())) == 1
    assert studio.repository.releases == [other_version, theirs]
    assert abandon_draft("v2.0.0", mark, studio.publisher.host()) == ()


def test_what_is_published_cannot_be_abandoned(studio: Studio) -> None:
    studio.publish()
    with pytest.raises(PublicationError, match=r"v2\.0\.0 is published and stays"):
        abandon_draft("v2.0.0", MARK, studio.publisher.host())
    assert len(studio.repository.releases) == 1


def test_an_upload_that_github_kept_wrongly_is_found_and_done_again(studio: Studio) -> None:
    """GitHub describes the bytes it was sent, and holds others: only reading them back shows it."""
    spoiled: list[FakeAsset] = []

    def spoil(request: Request) -> None:
        if request.path.startswith("/uploads/") and not spoiled:
            asset = studio.repository.releases[0].assets[-1]
            spoiled.append(asset)
            asset.content = bytes(len(asset.content))

    studio.github.after = spoil
    studio.publish()
    [release] = studio.repository.releases
    assert spoiled[0] not in release.assets
    assert {asset.name for asset in release.assets} == set(expected_assets(studio.plan))


def test_public_bytes_that_are_not_the_formulas_keep_the_tap_where_it_was(studio: Studio) -> None:
    def spoil(request: Request) -> None:
        if request.method == "PATCH":
            studio.repository.releases[0].assets[2].content = b"other"

    studio.github.after = spoil
    with pytest.raises(PublicationError, match="holds something else"):
        studio.publish()
    assert studio.formula() == ""


def test_a_download_host_that_serves_something_else_keeps_the_tap_where_it_was(studio: Studio) -> None:
    """What the API says is right, and what users get is not."""

    def spoil(request: Request) -> None:
        if "/releases/download/" in request.path:
            for asset in studio.repository.releases[0].assets:
                asset.content = b"a web page"

    studio.github.after = spoil
    with pytest.raises(PublicationError, match="has the sha256"):
        studio.publish()
    assert studio.formula() == ""


def test_a_file_that_is_not_public_at_once_is_waited_for(studio: Studio) -> None:
    missing: list[str] = []

    def hide(request: Request) -> None:
        release = studio.repository.releases[0] if studio.repository.releases else None
        if "/releases/download/" in request.path and release:
            release.draft = len(missing) < 2
            missing.append(request.path)

    studio.github.before = hide
    studio.publish()
    assert len(missing) == len(studio.plan.downloads) + 2


def _change_tap(repository: FakeRepository, path: str, text: str) -> str:
    """Commit to the tap as somebody else does."""
    place = ("git", "-C", repository.git)
    blob = command.run([*place, "hash-object", "-w", "--stdin"], env=ENVIRON, stdin=text).stdout.strip()
    index = {"GIT_INDEX_FILE": str(repository.git / "other-index"), **ENVIRON}
    for words in (["read-tree", "main"], ["update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"]):
        command.run([*place, *words], env=index)
    tree = command.run([*place, "write-tree"], env=index).stdout.strip()
    commit = repository.run_git(
        "-c", "user.name=b", "-c", "user.email=b@b", "commit-tree", tree, "-p", "main", "-m", "B"
    )
    repository.run_git("update-ref", "refs/heads/main", commit)
    return commit


def test_somebody_who_pushes_first_wins_and_both_changes_are_there(studio: Studio) -> None:
    theirs: list[str] = []

    def race(request: Request) -> None:
        if request.path.endswith("git-receive-pack") and len(theirs) < 2:
            theirs.append(_change_tap(studio.repository, f"Formula/other-{len(theirs)}.rb", "class Other; end\n"))

    studio.github.before = race
    studio.publish()
    names = studio.repository.run_git("ls-tree", "-r", "--name-only", "main").splitlines()
    assert names == ["Formula/other-0.rb", "Formula/other-1.rb", PATH]
    assert studio.repository.run_git("rev-list", "--count", "main") == "4"


def test_a_newer_formula_that_comes_first_is_not_taken_back(studio: Studio) -> None:
    newer = studio.plan.tap.text.replace("2.0.0", "2.0.1") if studio.plan.tap else ""

    def race(request: Request) -> None:
        if request.path.endswith("git-receive-pack"):
            studio.github.before = lambda _: None
            _change_tap(studio.repository, PATH, newer)

    studio.github.before = race
    with pytest.raises(PublicationError, match=r"a step backwards for users: the tap's formula is at 2\.0\.1"):
        studio.publish()
    assert studio.formula() == newer.strip()


@pytest.mark.parametrize(
    ("out", "refused"), [("2.0.1", True), ("2.1.0-rc.1", False), ("1.9.0", False), ("test-1", False)]
)
def test_a_version_older_than_one_that_is_out_is_refused(out: str, refused: bool, studio: Studio) -> None:  # noqa: FBT001 - a parameter
    tag = out if out.startswith("test") else f"v{out}"
    studio.repository.create_release({"tag_name": tag, "prerelease": "-" in out})
    if refused:
        with pytest.raises(PublicationError, match=r"a step backwards: release v2\.0\.1 is at 2\.0\.1"):
            studio.publish()
        assert len(studio.repository.releases) == 1
    else:
        studio.publish()


def test_an_older_formula_without_a_bottle_is_replaced(studio: Studio) -> None:
    old = 'class Stigmer < Formula\n  version "0.0.13"\n  url "https://a.example/x"\n  sha256 "aa"\nend\n'
    _change_tap(studio.repository, PATH, old)
    studio.publish()
    assert "2.0.0" in studio.formula()


def test_a_formula_nobody_can_read_is_not_replaced(studio: Studio) -> None:
    _change_tap(studio.repository, PATH, "class Stigmer < Formula\nend\n")
    with pytest.raises(PublicationError, match="the tap's formula is at an unreadable version"):
        studio.publish()
    assert studio.repository.releases == []


def test_a_pre_release_is_published_and_leaves_the_tap_alone(studio: Studio) -> None:
    plan, folder = studio.next_release("2.1.0-rc.1")
    done = studio.publisher.publish(plan, folder)
    [release] = studio.repository.releases
    assert (release.draft, release.prerelease) == (False, True)
    assert (done.tap, done.tap_commit, studio.formula()) == ("", "", "")
    assert [line for line in studio.github.log if ".git/" in line] == []


def test_a_protected_branch_is_told_with_what_to_do(studio: Studio) -> None:
    """A real hook refuses, as a rule of GitHub's does."""
    hook = studio.repository.git / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed'\nexit 1\n", encoding="ascii")
    hook.chmod(0o755)
    with pytest.raises(TapError, match="GH006") as caught:
        studio.publish()
    assert "--pull-request" in caught.value.remedy


def test_a_proposal_is_opened_once_and_taken_for_done_when_it_is_merged(studio: Studio) -> None:
    plan = plan_for(studio.folder, studio.plan.commit, pull_request=True)
    done = studio.publisher.publish(plan, studio.folder)
    assert done.pull_request == studio.publisher.publish(plan, studio.folder).pull_request
    assert len(studio.repository.pulls) == 1
    assert studio.formula() == ""
    studio.repository.run_git("update-ref", "refs/heads/main", "refs/heads/stigmer-2.0.0")
    studio.repository.pulls[0].state = "closed"
    merged = studio.publisher.publish(plan, studio.folder)
    assert (merged.pull_request, merged.tap_commit) == ("", done.tap_commit)


def test_a_proposals_branch_with_something_else_is_left_alone(studio: Studio) -> None:
    studio.repository.run_git("update-ref", "refs/heads/stigmer-2.0.0", "refs/heads/main")
    plan = plan_for(studio.folder, studio.plan.commit, pull_request=True)
    with pytest.raises(TapError, match=r"the branch stigmer-2\.0\.0 of .* holds another"):
        studio.publisher.publish(plan, studio.folder)


def test_a_branch_that_is_not_there_is_told_before_anything_is_made(studio: Studio) -> None:
    place = studio.publisher.place()
    place = replace(place, git=replace(place.git, branch="master"))
    with pytest.raises(TapError, match="has no branch master"):
        publish_release(studio.plan, studio.folder, studio.publisher.host(), place, report=lambda _: None)
    assert studio.repository.releases == []


@pytest.mark.parametrize(
    ("token", "error", "said"),
    [
        ("", TokenError, "GITHUB_TOKEN is empty"),
        ("  ", TokenError, "GITHUB_TOKEN is empty"),
        ("ghs_two\nlines", TokenError, "a line break or another character that no token has"),
        ("ghs_expired", TokenError, "the token is wrong, expired or revoked"),
        (READER, TokenError, "the tap refuses the token or key"),
    ],
)
def test_a_token_that_will_not_do_is_told_before_any_work(
    token: str, error: type[PackagingError], said: str, studio: Studio
) -> None:
    before = state_of(studio.github)
    with pytest.raises(error, match=re.escape(said)) as caught:
        studio.publisher.publish(studio.plan, studio.folder, token)
    assert caught.value.remedy
    assert not token.strip() or token not in str(caught.value)
    assert state_of(studio.github) == before


def test_a_token_that_may_not_release_is_told_before_anything_is_made(studio: Studio) -> None:
    """The tap takes its own token here, so that only the release refuses."""
    with pytest.raises(TokenError, match="Resource not accessible by integration; the token may not do this"):
        publish_release(
            studio.plan, studio.folder, studio.publisher.host(READER), studio.publisher.place(), report=lambda _: None
        )
    assert studio.repository.releases == []


def test_github_hides_what_a_token_may_not_write(studio: Studio) -> None:
    with pytest.raises(TokenError, match="may read and not write"):
        replace(studio.publisher.host(), repository="stigmer/gone").create_draft(
            "v1.0.0", "c" * 40, title="", notes="", prerelease=False
        )


def test_an_expired_token_of_the_tap_is_told_before_the_release_is_made(studio: Studio) -> None:
    """Otherwise the release is out, and users stay on the old version."""
    for token in ("ghs_expired", READER):
        with pytest.raises(TokenError, match="the tap refuses the token or key"):
            publish_release(
                studio.plan,
                studio.folder,
                studio.publisher.host(),
                studio.publisher.place(token),
                report=lambda _: None,
            )
    assert studio.repository.releases == []


def test_two_publishers_at_once_leave_one_release_and_no_draft(studio: Studio) -> None:
    """A whole second run happens between the first one's last look and its publishing."""
    second = Publisher(studio.github, studio.root / "second")
    begun: list[Request] = []

    def overtake(request: Request) -> None:
        if request.path.endswith("/releases") and request.method == "POST" and not begun:
            begun.append(request)
            draft = studio.repository.create_release({**json.loads(request.body)})
            for file in studio.plan.assets:
                content = (studio.folder / file.path).read_bytes()
                studio.repository.add_asset(draft, file.name, content, file.content_type)
            studio.repository.change_release(draft, {"draft": False})

    studio.github.before = overtake
    assert studio.publish() == second.publish(studio.plan, studio.folder).tap_commit
    assert [release.draft for release in studio.repository.releases] == [False]


def test_a_tap_that_is_not_there_is_told(studio: Studio) -> None:
    place = studio.publisher.place()
    place = replace(place, git=replace(place.git, remote=f"{studio.github.world.addresses.server}/stigmer/gone.git"))
    with pytest.raises(TapError, match="not found"):
        publish_release(studio.plan, studio.folder, studio.publisher.host(), place, report=lambda _: None)
    assert studio.repository.releases == []


def test_an_unknown_repository_is_told(studio: Studio) -> None:
    host = replace(studio.publisher.host(), repository="stigmer/gone")
    with pytest.raises(GitHubError, match="404: Not Found"):
        host.open()


@pytest.mark.parametrize(("status", "seconds"), [("429", 7), ("403", 10)])
def test_a_limit_is_waited_for_by_githubs_clock_and_not_ours(status: str, seconds: float, studio: Studio) -> None:
    """The fake's clock is far from this machine's."""
    assert abs(time.time() - 1_795_000_000) > 3600
    studio.github.trouble = Trouble(12, status, lasting=False)
    studio.publish()
    assert studio.publisher.waits == [seconds]


def test_a_limit_that_lasts_too_long_ends_the_run_at_once() -> None:
    waits: list[float] = []

    def refuse() -> None:
        raise UnavailableError("limited", 3000)

    with pytest.raises(UnavailableError):
        persist(refuse, Access("t", pause=waits.append))
    assert waits == []


def test_each_attempt_waits_longer_and_the_last_failure_is_told() -> None:
    waits: list[float] = []

    def fail() -> None:
        raise UnavailableError("gone")

    with pytest.raises(UnavailableError, match="gone"):
        persist(fail, Access("t", pause=waits.append))
    assert waits == [1, 2, 4, 8, 16]


def test_a_release_among_hundreds_is_found_on_a_later_page(studio: Studio) -> None:
    studio.publish()
    [ours] = studio.repository.releases
    for number in range(230):
        studio.repository.create_release({"tag_name": f"test-{number}", "draft": True})
    assert studio.repository.releases[-1] is ours
    before = len(studio.repository.releases)
    studio.publish()
    assert len(studio.repository.releases) == before


def test_the_token_is_nowhere_but_in_the_requests(studio: Studio, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in what is told, in errors, in arguments of programs, in the result, in files."""
    told: list[str] = []
    plan = plan_for(studio.folder, studio.plan.commit, pull_request=True)
    with command.observed(told.append):
        for number in (1, 4, 12, 20, 4, 12, 16):
            studio.github.trouble = Trouble(len(studio.github.log) + number, "unanswered")
            studio.publisher.attempts = 2
            with pytest.raises(PackagingError) as caught:
                studio.publisher.publish(plan, studio.folder)
            told += [str(caught.value), repr(caught.value), caught.value.remedy, repr(studio.publisher.place())]
            studio.github.trouble = Trouble()
        told.append(str(studio.publisher.publish(plan, studio.folder)))
    told += [*studio.publisher.said, *capfd.readouterr()]
    assert any(line.startswith("+ git") for line in told)
    needles = [TOKEN, "eC1hY2Nlc3MtdG9rZW46"]  # and as git's header has it
    assert [line for line in told for needle in needles if needle in line] == []
    files = [path for path in studio.root.rglob("*") if path.is_file()]
    assert [path for path in files for needle in needles if needle.encode() in path.read_bytes()] == []
    sent = [line for line in studio.github.authorizations if line]
    assert sum(needle in line for line in sent for needle in needles) == len(sent)


def test_a_download_by_users_carries_no_token(studio: Studio) -> None:
    studio.publish()
    pairs = zip(studio.github.log, studio.github.authorizations, strict=True)
    public = [sent for line, sent in pairs if "/releases/download/" in line or "/storage/" in line]
    assert public
    assert set(public) == {""}


def test_a_deploy_key_reaches_ssh_as_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    """A program named ssh stands in for it, and serves the repository from disk."""
    tools, root = tmp_path / "bin", tmp_path / "github"
    with github_at(root, [REPOSITORY], {TOKEN: "write"}) as github:
        repository = github.world.repositories[REPOSITORY]
        tools.mkdir()
        script = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nfor last; do :; done\ncd {root} && eval "$last"\n'
        (tools / "ssh").write_text(script, encoding="ascii")
        (tools / "ssh").chmod(0o755)
        env = git_environment(build_environment({**ENVIRON, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}), "R")
        keys = GitHub(Access(TOKEN, github.world.addresses.api), REPOSITORY).host_keys()
        env = with_deploy_key(env, "-----BEGIN KEY-----\nsecret\n", "github.com", keys, tmp_path)
        tap = open_tap(f"git@github.com:{REPOSITORY}.git", "main", tmp_path / "tap.git", env)
        commit = tap.commit(tap.head(), PATH, "class A; end\n", "A\n")
        assert tap.push(commit, "main")
        assert repository.commit_of("main") == commit
    [key] = tmp_path.glob("deploy-key")
    assert key.stat().st_mode & 0o777 == 0o600
    asked = (tmp_path / "asked").read_text(encoding="ascii")
    assert "secret" not in asked
    assert "StrictHostKeyChecking=yes" in asked
    assert (tmp_path / "known-hosts").read_text(encoding="ascii").startswith("github.com ssh-ed25519 ")


def _remove_asset(request: Request, studio: Studio) -> None:
    if request.method == "PATCH":
        studio.repository.releases[0].assets.pop()


def _move_formula(_request: Request, studio: Studio) -> None:
    if not studio.formula():
        _change_tap(studio.repository, PATH, studio.plan.tap.text if studio.plan.tap else "")


@pytest.mark.parametrize(("spoil", "seen"), [(_remove_asset, "is public with"), (_move_formula, "the formula names")])
def test_the_observer_sees_a_half_release(spoil: Callable[[Request, Studio], None], seen: str, studio: Studio) -> None:
    """The guard of the cut-point test fails for the right reason."""
    observer = Observer(studio.github, {studio.plan.tag: expected_assets(studio.plan)})

    def after(request: Request) -> None:
        spoil(request, studio)
        observer.look(request)

    studio.github.after = after
    with contextlib.suppress(PublicationError):
        studio.publish()
    assert any(seen in line for line in observer.seen)
