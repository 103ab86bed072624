"""The small commands of the workflows' jobs, run as the jobs run them; issues against a server of this test."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stigmer_packaging.cli import main as cli
from stigmer_packaging.cli.runner import TITLE, describe_release
from stigmer_packaging.manifest.naming import release_tag
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.records.release import Artefact, Release
from support.manifest_texts import PATH

PRODUCT = load_manifest(PATH).product
TAG = release_tag(PRODUCT.version)


@dataclass
class FakeIssues:
    """A repository's issues, as GitHub lists them: pull requests among them, a hundred a page."""

    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, asked: dict[str, Any]) -> Any:
        """Do what was asked, and give GitHub's answer."""
        if method == "GET":
            page = int(path.rpartition("page=")[2])
            return [one for one in self.issues if one["state"] == "open"][(page - 1) * 100 : page * 100]
        if path.endswith("/comments"):
            self.comments.append(asked["body"])
            return {}
        if method == "PATCH":
            number = int(path.rpartition("/")[2])
            next(one for one in self.issues if one["number"] == number).update(asked)
            return {}
        self.issues.append({**asked, "number": len(self.issues) + 1, "state": "open", "html_url": "https://i/1"})
        return self.issues[-1]


@pytest.fixture
def issues(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIssues]:
    """Serve the issues, and say where."""
    fake = FakeIssues()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            body = json.dumps(fake.answer(self.command, self.path, asked)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = handle_one  # noqa: N815 (the server finds methods by these names)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("GITHUB_TOKEN", "ghs_x")
        monkeypatch.setenv("GITHUB_RUN_ID", "42")
        yield fake
        server.shutdown()
        thread.join()


def test_an_install_that_does_not_work_opens_one_issue_and_the_next_day_none(issues: FakeIssues) -> None:
    """Its text leads to the run."""
    for _ in range(2):
        assert cli.run(["report-install", "--outcome", "failure"]) == 0
    assert [issue["title"] for issue in issues.issues] == [TITLE]
    assert "actions/runs/42" in issues.issues[0]["body"]


def test_it_is_found_behind_a_page_of_others_and_closed_when_the_install_works_again(issues: FakeIssues) -> None:
    """A pull request of the same title is not it."""
    for _ in range(100):
        issues.answer("POST", "/issues", {"title": "another"})
    issues.issues[0] |= {"title": TITLE, "pull_request": {}}
    issues.answer("POST", "/issues", {"title": TITLE})
    assert cli.run(["report-install", "--outcome", "success"]) == 0
    assert [issue["number"] for issue in issues.issues if issue["state"] == "closed"] == [101]
    assert len(issues.comments) == 1


def test_an_install_that_works_and_always_did_leaves_no_trace(issues: FakeIssues) -> None:
    """No issue, no comment."""
    assert cli.run(["report-install", "--outcome", "success"]) == 0
    assert (issues.issues, issues.comments) == ([], [])


@pytest.mark.parametrize(
    ("kind", "name", "code"), [("tag", TAG, 0), ("tag", "v9.9.9", 20), ("branch", TAG, 20), ("", "", 20)]
)
def test_a_release_runs_for_the_manifests_own_tag_only(
    kind: str, name: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch of that name is no tag."""
    monkeypatch.setenv("GITHUB_REF_TYPE", kind)
    monkeypatch.setenv("GITHUB_REF_NAME", name)
    assert cli.run(["agree"]) == code


def test_the_announcement_says_how_to_install_and_what_the_files_are() -> None:
    """In Markdown, for the run's summary."""
    text = describe_release(Release(PRODUCT, (Artefact("source", "stigmer-2.0.0.tar.gz", 400_000, "ab" * 32),)))
    assert "brew install stigmer/tap/stigmer" in text
    assert f"| stigmer-2.0.0.tar.gz | 0.4 | `{'ab' * 32}` |" in text


def test_what_a_machine_lacks_is_one_line_of_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """For apt-get; on a machine that has everything, an empty one."""
    assert cli.run(["missing"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert all(word.islower() for word in printed.split())
