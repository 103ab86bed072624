"""Publishing to a fake GitHub: what is done, what is refused, and what never becomes public."""

import contextlib
import re
from collections.abc import Callable

import pytest

from stigmer_packaging.lib.errors import PublicationError, TokenError, UnavailableError
from stigmer_packaging.publish.plan import MARK, draft_marker
from stigmer_packaging.publish.publish import abandon_draft
from support.fake_github import Trouble
from support.fake_github_answers import Request
from support.fake_github_world import FakeAsset, FakeRelease
from support.publishable import PATH, manifest_of, plan_for
from support.publishing import REPOSITORY, Observer, PreparedRelease, change_tap, expected_assets, state_of


def test_a_published_release_is_complete_and_named_by_the_tap(prepared: PreparedRelease) -> None:
    done = prepared.publish()
    [release] = prepared.repository.releases
    assert (release.tag, release.draft, release.prerelease, release.immutable) == ("v2.0.0", False, False, True)
    assert {asset.name: asset.content for asset in release.assets} == {
        file.asset: (prepared.folder / file.name).read_bytes() for file in prepared.plan.assets
    }
    assert prepared.repository.commit_of("refs/tags/v2.0.0") == prepared.plan.commit
    assert prepared.formula() == (prepared.folder / PATH).read_text(encoding="utf-8").strip()
    assert (done.immutable, done.tap, done.tap_commit) == (True, REPOSITORY, prepared.repository.commit_of("main"))
    log = prepared.repository.run_git("log", "-1", "--format=%an <%ae> %s", "main")
    assert log == "Release <noreply@github.com> stigmer 2.0.0"


def test_publishing_what_is_published_changes_nothing(prepared: PreparedRelease) -> None:
    first = prepared.publish()
    prepared.github.log.clear()
    assert prepared.publish() == first
    assert [line for line in prepared.github.log if not line.startswith("GET") and "git-" not in line] == []
    assert [line for line in prepared.github.log if "receive-pack" in line] == []


def test_a_tag_of_another_commit_is_refused_before_anything_is_created(prepared: PreparedRelease) -> None:
    other = prepared.repository.run_git("commit-tree", "main^{tree}", "-m", "Other", "-p", "main")
    prepared.repository.run_git("update-ref", "refs/tags/v2.0.0", other)
    with pytest.raises(PublicationError, match=f"the tag v2.0.0 points to {other}"):
        prepared.publish()
    assert prepared.repository.releases == []


def test_an_annotated_tag_of_the_commit_is_accepted(prepared: PreparedRelease) -> None:
    prepared.repository.run_git("-c", "user.name=a", "-c", "user.email=a@a", "tag", "-a", "-m", "x", "v2.0.0", "main")
    prepared.publish()
    assert not prepared.repository.releases[0].draft


def test_a_release_is_published_although_the_workflows_have_changed_since_its_tag(prepared: PreparedRelease) -> None:
    """GitHub refuses a job's token if the request names a commit with other workflows than the default branch."""
    repository, workflow = prepared.repository, ".github/workflows/release.yml"
    change_tap(repository, workflow, "name: release\n")
    commit = repository.commit_of("main")
    repository.run_git("update-ref", "refs/tags/v2.0.0", commit)
    change_tap(repository, workflow, "name: Release\n")
    with pytest.raises(TokenError, match="Resource not accessible by integration"):
        prepared.host().create_draft("v1.9.0", commit, title="", notes="", prerelease=False)
    prepared.publish(plan_for(prepared.folder, commit))
    assert [release.draft for release in prepared.repository.releases] == [False]


@pytest.mark.parametrize("immutable", [True, False])
def test_other_contents_under_a_published_tag_are_refused_and_nothing_is_overwritten(
    immutable: bool,  # noqa: FBT001 - a parameter of the test
    prepared: PreparedRelease,
) -> None:
    prepared.repository.immutable = immutable
    prepared.publish()
    before = state_of(prepared)
    plan, folder = prepared.next_release("2.0.0", content="two")
    with pytest.raises(PublicationError, match=r"the release v2\.0\.0 on GitHub has different files: .*bottle"):
        prepared.publish(plan, folder)
    assert state_of(prepared) == before


def test_a_commit_that_was_not_pushed_is_named_with_the_remedy(prepared: PreparedRelease) -> None:
    with pytest.raises(PublicationError, match=f"GitHub does not have the commit {'c' * 40}") as caught:
        prepared.publish(plan_for(prepared.folder, "c" * 40))
    assert caught.value.remedy == "push it with its tag: git push origin v2.0.0"
    assert prepared.repository.releases == []


def test_the_tag_of_a_deleted_release_needs_a_higher_version(prepared: PreparedRelease) -> None:
    prepared.publish()
    prepared.repository.delete_release(prepared.repository.releases[0])
    with pytest.raises(PublicationError, match=r"a release v2\.0\.0 was deleted, and GitHub never reuses") as caught:
        prepared.publish()
    assert "raise the version" in caught.value.remedy
    assert [release.draft for release in prepared.repository.releases] == [True]


def _persons_draft(prepared: PreparedRelease, notes: str | None = None) -> FakeRelease:
    return prepared.repository.create_release({"tag_name": "v2.0.0", "draft": True, "body": notes})


@pytest.mark.parametrize("notes", ["I am still writing", None])
def test_a_draft_created_by_a_person_is_left_alone(notes: str | None, prepared: PreparedRelease) -> None:
    draft = _persons_draft(prepared, notes)
    with pytest.raises(PublicationError, match=r"there is a draft of v2\.0\.0 with different contents"):
        prepared.publish()
    assert prepared.repository.releases == [draft]
    assert draft.assets == []


def test_abandoning_removes_our_own_drafts_and_nothing_else(prepared: PreparedRelease) -> None:
    prepared.github.trouble, prepared.attempts = Trouble(20), 2
    with pytest.raises(UnavailableError):
        prepared.publish()
    prepared.github.trouble = Trouble()
    theirs = _persons_draft(prepared)
    other_version = prepared.repository.create_release(
        {"tag_name": "v1.9.0", "draft": True, "body": prepared.plan.marker}
    )
    marker = draft_marker(manifest_of("2.0.0").product, "")
    assert len(abandon_draft("v2.0.0", marker, prepared.host(), dry_run=True)) == 1
    assert len(prepared.repository.releases) == 3
    assert len(abandon_draft("v2.0.0", marker, prepared.host())) == 1
    assert prepared.repository.releases == [other_version, theirs]


@pytest.mark.parametrize("published", [True, False], ids=["published", "deleted"])
def test_a_draft_that_somebody_else_publishes_or_deletes_meanwhile_is_not_abandoned(
    published: bool,  # noqa: FBT001 - a parameter of the test
    prepared: PreparedRelease,
) -> None:
    repository, marker = prepared.repository, prepared.plan.marker
    draft = repository.create_release({"tag_name": "v2.0.0", "draft": True, "body": marker})

    def act(_request: Request) -> None:
        prepared.github.after = lambda _: None
        if published:
            repository.change_release(draft, {"tag_name": draft.tag, "draft": False})
        else:
            repository.releases.remove(draft)

    prepared.github.after = act
    abandon_draft("v2.0.0", marker, prepared.host())
    assert repository.releases == ([draft] if published else [])


def test_a_published_release_cannot_be_abandoned(prepared: PreparedRelease) -> None:
    prepared.publish()
    with pytest.raises(PublicationError, match=r"v2\.0\.0 is already published"):
        abandon_draft("v2.0.0", MARK, prepared.host())
    assert len(prepared.repository.releases) == 1


def test_an_upload_that_github_stored_wrongly_is_detected_and_repeated(prepared: PreparedRelease) -> None:
    """GitHub reports the digest of the uploaded bytes, but stores others; only downloading them reveals it."""
    spoiled: list[FakeAsset] = []

    def spoil(request: Request) -> None:
        if request.path.startswith("/uploads/") and not spoiled:
            asset = prepared.repository.releases[0].assets[-1]
            spoiled.append(asset)
            asset.content = bytes(len(asset.content))

    prepared.github.after = spoil
    prepared.publish()
    [release] = prepared.repository.releases
    assert spoiled[0] not in release.assets
    assert {asset.name for asset in release.assets} == set(expected_assets(prepared.plan))


@pytest.mark.parametrize(
    ("spoilt_at", "message"),
    [("PATCH /api", "has different files"), ("GET /stigmer/homebrew-tap/releases/download", "has sha256")],
    ids=["reported by the API", "visible only to users"],
)
def test_public_bytes_that_differ_from_the_formula_leave_the_tap_unchanged(
    spoilt_at: str, message: str, prepared: PreparedRelease
) -> None:
    def spoil(request: Request) -> None:
        if f"{request.method} {request.path}".startswith(spoilt_at):
            for asset in prepared.repository.releases[0].assets:
                asset.content = b"a web page"

    prepared.github.after = spoil
    with pytest.raises(PublicationError, match=message):
        prepared.publish()
    assert prepared.formula() == ""


def test_a_file_that_is_not_public_at_once_is_waited_for(prepared: PreparedRelease) -> None:
    missing: list[str] = []

    def hide(request: Request) -> None:
        release = prepared.repository.releases[0] if prepared.repository.releases else None
        if "/releases/download/" in request.path and release:
            release.draft = len(missing) < 2
            missing.append(request.path)

    prepared.github.before = hide
    prepared.publish()
    assert len(missing) == len(prepared.plan.downloads) + 2


def test_an_upload_that_arrived_without_an_answer_is_used(prepared: PreparedRelease) -> None:
    """It arrives after GitHub has listed the assets, and before the file is uploaded again."""
    arrived: list[FakeAsset] = []

    def arrive(request: Request) -> None:
        if request.path.startswith("/uploads/") and not arrived:
            [release] = prepared.repository.releases
            arrived.append(prepared.repository.add_asset(release, request.query["name"], request.body))

    prepared.github.before = arrive
    prepared.publish()
    assert arrived[0] in prepared.repository.releases[0].assets


def test_a_deletion_that_is_done_already_is_no_error(prepared: PreparedRelease) -> None:
    """Another run, or an earlier attempt without an answer, deletes the leftover draft and the damaged asset."""
    repository = prepared.repository
    [leftover, draft] = [
        repository.create_release({"tag_name": "v2.0.0", "draft": True, "body": prepared.plan.marker}) for _ in range(2)
    ]
    damaged = repository.add_asset(leftover, prepared.plan.assets[0].asset, b"damaged")

    def delete(request: Request) -> None:
        if request.method == "DELETE" and damaged in leftover.assets:
            leftover.assets.remove(damaged)
        elif request.method == "DELETE":
            repository.releases.remove(draft)

    prepared.github.before = delete
    prepared.publish()
    assert repository.releases == [leftover]


def test_a_list_of_assets_that_lags_behind_is_waited_for(prepared: PreparedRelease) -> None:
    """The last file is missing from the list that is read before the draft is published."""
    hidden: list[FakeAsset] = []

    def hide(request: Request) -> None:
        assets = prepared.repository.releases[0].assets if prepared.repository.releases else []
        if len(assets) == len(prepared.plan.assets) and not hidden and re.fullmatch(r".*/releases/\d+", request.path):
            hidden.append(assets.pop())
        elif hidden and prepared.waits and hidden[0] not in assets:
            assets.append(hidden[0])

    prepared.github.after = hide
    prepared.publish()
    assert hidden[0] in prepared.repository.releases[0].assets
    assert prepared.waits == [1]


def test_a_tag_that_is_not_visible_at_once_is_waited_for(prepared: PreparedRelease) -> None:
    def hide(request: Request) -> None:
        if request.method == "PATCH":
            prepared.repository.run_git("update-ref", "-d", "refs/tags/v2.0.0")
        elif prepared.waits:
            prepared.repository.run_git("update-ref", "refs/tags/v2.0.0", prepared.plan.commit)

    prepared.github.after = hide
    prepared.publish()
    assert prepared.waits == [1]


def _remove_asset(request: Request, prepared: PreparedRelease) -> None:
    if request.method == "PATCH":
        prepared.repository.releases[0].assets.pop()


def _move_formula(_request: Request, prepared: PreparedRelease) -> None:
    if not prepared.formula():
        change_tap(prepared.repository, PATH, (prepared.folder / PATH).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("spoil", "seen"), [(_remove_asset, "is public with"), (_move_formula, "the formula names")])
def test_the_observer_detects_a_partial_release(
    spoil: Callable[[Request, PreparedRelease], None], seen: str, prepared: PreparedRelease
) -> None:
    """A control for the test with cut requests: its observer detects a partial release."""
    observer = Observer(prepared)

    def after(request: Request) -> None:
        spoil(request, prepared)
        observer.check(request)

    prepared.github.after = after
    with contextlib.suppress(PublicationError):
        prepared.publish()
    assert any(seen in line for line in observer.violations)
