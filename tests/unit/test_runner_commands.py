"""The small commands of the workflow jobs, run as the jobs run them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stigmer_packaging.cli import main as cli
from stigmer_packaging.cli.runner import TITLE, describe_release
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.records.release import Artefact, Release
from support.fake_github import github_at
from support.manifest_texts import PATH

PRODUCT = load_manifest(PATH).product
TAG = release_tag(PRODUCT.version)


@pytest.fixture
def issues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    with github_at(tmp_path, [PRODUCT.repository], {"ghs_x": "write"}) as github:
        for name, value in {**github.environment, "GITHUB_TOKEN": "ghs_x", "GITHUB_RUN_ID": "42"}.items():
            monkeypatch.setenv(name, value)
        yield github.world.repositories[PRODUCT.repository].issues


def test_a_failing_install_opens_one_issue_and_no_second_one(issues: list[dict[str, Any]]) -> None:
    for _ in range(2):
        assert cli.run(["report-install", "--outcome", "failure"]) == 0
    assert [issue["title"] for issue in issues] == [TITLE]
    assert "actions/runs/42" in issues[0]["body"]


def test_the_issue_is_found_on_a_later_page_and_closed_when_the_install_works_again(
    issues: list[dict[str, Any]],
) -> None:
    """A pull request with the same title is not closed."""
    assert cli.run(["report-install", "--outcome", "failure"]) == 0
    others = [{"title": "another", "number": number, "state": "open"} for number in range(1000, 1100)]
    issues[:0] = [{**others[0], "title": TITLE, "pull_request": {}}, *others[1:]]
    assert cli.run(["report-install", "--outcome", "success"]) == 0
    closed = [issue for issue in issues if issue["state"] == "closed"]
    assert closed == [issues[-1]]
    assert len(closed[0]["comments"]) == 1


def test_a_working_install_without_an_open_issue_changes_nothing(issues: list[dict[str, Any]]) -> None:
    assert cli.run(["report-install", "--outcome", "success"]) == 0
    assert issues == []


@pytest.mark.parametrize(
    ("kind", "name", "code"), [("tag", TAG, 0), ("tag", "v9.9.9", 20), ("branch", TAG, 20), ("", "", 20)]
)
def test_a_release_runs_only_for_the_tag_of_the_manifest(
    kind: str, name: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REF_TYPE", kind)
    monkeypatch.setenv("GITHUB_REF_NAME", name)
    assert cli.run(["agree"]) == code


def test_the_announcement_says_how_to_install_and_lists_the_files() -> None:
    text = describe_release(Release(PRODUCT, (Artefact("source", "stigmer-2.0.0.tar.gz", 400_000, "ab" * 32),)))
    assert "brew install stigmer/tap/stigmer" in text
    assert f"| stigmer-2.0.0.tar.gz | 0.4 | `{'ab' * 32}` |" in text
