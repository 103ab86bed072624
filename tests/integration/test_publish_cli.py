"""scripts/publish and scripts/rollback as people and workflows call them, with a fake GitHub."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

from stigmer_packaging.cli import main as cli
from stigmer_packaging.cli.options import ROOT
from stigmer_packaging.records.release import NAME, read_release
from stigmer_packaging.records.text import render_record
from support.fake_github import Trouble
from support.fake_github_answers import Request
from support.publishable import PATH
from support.publishing import APP_TOKEN, OTHER, PUBLISHED_TARGETS, REPOSITORY, TOKEN, PublishingCommands, change_tap


def test_a_dry_run_prints_the_plan_without_a_token_or_a_request(commands: PublishingCommands) -> None:
    commands.monkeypatch.delenv("GITHUB_TOKEN")
    folder = commands.write_release("2.0.0")
    assert commands.run("publish", str(folder), "--dry-run", "--json") == 0
    plan = json.loads(commands.capsys.readouterr().out)
    assert (plan["tag"], plan["tap"]["path"], len(plan["assets"])) == ("v2.0.0", PATH, len(PUBLISHED_TARGETS) + 4)
    assert commands.run("publish", str(folder), "--dry-run") == 0
    printed = commands.capsys.readouterr().out
    assert printed.startswith("release v2.0.0 of stigmer/homebrew-tap at ")
    assert [one for one in plan["assets"] if f"{one['sha256']}  {one['size']:>11}  " not in printed] == []
    assert f"{PATH} with sha256" in printed
    assert "- What 2.0.0 brings." in printed
    assert commands.github.log == []


def test_publishing_writes_a_record_beside_the_release(commands: PublishingCommands) -> None:
    folder = commands.write_release("2.0.0")
    assert commands.run("publish", str(folder), "--json") == 0
    printed = json.loads(commands.capsys.readouterr().out)
    assert printed == json.loads((folder / "publication.json").read_text(encoding="utf-8"))
    assert (printed["tag"], printed["tap_commit"]) == ("v2.0.0", commands.repository.commit_of("main"))
    assert "2.0.0" in commands.formula()
    assert commands.run("publish", str(folder)) == 0, "it can be run again"


def test_a_missing_token_is_reported_before_anything_is_read(commands: PublishingCommands) -> None:
    folder = commands.write_release("2.0.0")
    (folder / "release.json").unlink()
    for token, message in (
        ("", "is empty\nHint: set GITHUB_TOKEN"),
        ("  ", "is empty\nHint: set GITHUB_TOKEN"),
        ("ghs_two\nlines", "contains a space, a line break or another character that no token has"),
    ):
        commands.monkeypatch.setenv("GITHUB_TOKEN", token)
        assert commands.run("publish", str(folder)) == 23
        assert commands.capsys.readouterr().err.startswith(f"Error: GITHUB_TOKEN {message}")
    assert commands.github.log == []


def test_a_bottle_whose_program_reports_another_version_is_refused(commands: PublishingCommands) -> None:
    """The host's program is run, the index of the other bottle is read; only formula and file names say 2.0.0."""
    folder = commands.write_release("2.0.0", reported="1.9.9")
    assert commands.run("publish", str(folder)) == 20
    errors = commands.capsys.readouterr().err
    assert errors.count("reports version 1.9.9, but the release is 2.0.0") == len(PUBLISHED_TARGETS), (
        "program and index alike"
    )
    assert commands.github.log == []


def test_a_tag_of_another_version_is_refused(commands: PublishingCommands) -> None:
    commands.monkeypatch.setenv("GITHUB_REF_TYPE", "tag")
    commands.monkeypatch.setenv("GITHUB_REF_NAME", "v2.0.1")
    assert commands.run("publish", str(commands.write_release("2.0.0"))) == 20
    assert "this run is for the tag v2.0.1" in commands.capsys.readouterr().err


def test_a_release_that_lacks_a_target_of_the_manifest_is_refused(commands: PublishingCommands) -> None:
    folder = commands.write_release("2.0.0")
    changelog = f"--changelog={commands.root}/CHANGELOG.md"
    assert cli.run(["publish", str(folder), f"--manifest={commands.root}/manifest.yaml", changelog]) == 20
    assert "found 0 bottles for darwin-amd64; expected 1" in commands.capsys.readouterr().err


def test_a_bottle_that_no_machine_of_its_kind_has_run_is_refused_unless_it_is_named(
    commands: PublishingCommands,
) -> None:
    folder = commands.write_release("2.0.0")
    release = read_release(folder)
    reports = tuple(replace(report, emulated=True) for report in release.verifications)
    (folder / NAME).write_text(render_record(replace(release, verifications=reports)), encoding="utf-8")
    assert commands.run("publish", str(folder), "--dry-run") == 20
    assert f"--not-run {PUBLISHED_TARGETS[0]}" in commands.capsys.readouterr().err
    assert (
        commands.run("publish", str(folder), "--dry-run", *(f"--not-run={target}" for target in PUBLISHED_TARGETS)) == 0
    )
    assert commands.run("publish", str(folder), "--dry-run", "--not-run=linux-amd46") == 2
    assert "'linux-amd46' is not one of" in commands.capsys.readouterr().err


def test_a_failed_run_is_abandoned(commands: PublishingCommands) -> None:
    folder = commands.write_release("2.0.0")
    commands.github.trouble = Trouble(20, "unanswered")
    assert commands.run("publish", str(folder)) == 22
    commands.github.trouble = Trouble()
    assert len(commands.repository.releases) == 1
    assert commands.run("publish", str(folder), "--abandon", "--dry-run") == 0
    assert "would be removed: http" in commands.capsys.readouterr().out
    assert commands.run("publish", str(folder), "--abandon") == 0
    assert commands.repository.releases == []
    assert commands.run("publish", str(folder), "--abandon") == 0
    assert "there is no draft of ours for v2.0.0" in commands.capsys.readouterr().out


def test_a_drafts_bytes_are_downloaded_before_it_is_public(commands: PublishingCommands) -> None:
    folder, fetched = commands.write_release("2.0.0"), commands.root / "fetched"
    assert commands.run("fetch-draft", str(fetched)) == 20
    errors = commands.capsys.readouterr().err
    assert "found 0 releases of ours for v2.0.0" in errors
    assert "a token that may only read sees no draft" in errors
    assert commands.run("publish", str(folder), "--draft") == 0
    assert [release.draft for release in commands.repository.releases] == [True]
    assert commands.formula() == ""
    assert commands.run("fetch-draft", str(fetched)) == 0
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert {name: (fetched / name).read_bytes() for name in files} == {
        name: (folder / name).read_bytes() for name in files
    }
    assert commands.run("publish", str(fetched)) == 0, "the downloaded files can be published"
    assert "2.0.0" in commands.formula()


def test_a_draft_with_changed_files_is_refused(commands: PublishingCommands) -> None:
    commands.run("publish", str(commands.write_release("2.0.0")), "--draft")
    commands.repository.releases[0].assets[2].content = b"other"
    assert commands.run("fetch-draft", str(commands.root / "fetched")) == 20
    message = "differ from those it was created with\nHint: complete the draft: scripts/publish dist --draft"
    assert message in commands.capsys.readouterr().err


def test_a_draft_with_an_upload_that_was_cut_off_is_to_be_completed(commands: PublishingCommands) -> None:
    folder, fetched = commands.write_release("2.0.0"), str(commands.root / "fetched")
    commands.run("publish", str(folder), "--draft")
    asset = commands.repository.releases[0].assets[2]
    asset.state, asset.content = "starter", b""
    assert commands.run("fetch-draft", fetched) == 20
    message = f"the uploads of {asset.name} were cut off\nHint: complete the draft: scripts/publish dist --draft"
    assert message in commands.capsys.readouterr().err
    commands.run("publish", str(folder), "--draft")
    assert commands.run("fetch-draft", fetched) == 0


def test_only_our_own_draft_of_the_version_is_downloaded(commands: PublishingCommands) -> None:
    """Other releases may have no notes at all, or be copies of ours."""
    commands.run("publish", str(commands.write_release("2.0.0")), "--draft")
    [ours] = commands.repository.releases
    for tag, notes in (("v2.0.0", None), ("v1.9.0", None), ("v1.9.0", ours.notes)):
        commands.repository.create_release({"tag_name": tag, "draft": True, "body": notes})
    assert commands.run("fetch-draft", str(commands.root / "fetched")) == 0
    commands.repository.create_release({"tag_name": "v2.0.0", "draft": True, "body": ours.notes})
    assert commands.run("fetch-draft", str(commands.root / "fetched")) == 20
    errors = commands.capsys.readouterr().err
    assert "found 2 releases of ours for v2.0.0; expected 1" in errors
    assert "scripts/publish --abandon dist" in errors


def test_a_download_of_a_draft_that_arrives_damaged_is_repeated(commands: PublishingCommands) -> None:
    commands.run("publish", str(commands.write_release("2.0.0")), "--draft")
    asset = commands.repository.releases[0].assets[0]
    contents = [b"cut", asset.content]

    def damage(request: Request) -> None:
        if request.path.endswith(f"/releases/assets/{asset.number}") and contents:
            asset.content = contents.pop(0)

    commands.github.before = damage
    assert commands.run("fetch-draft", str(commands.root / "fetched")) == 0
    assert contents == []


def test_an_asset_whose_name_leads_out_of_the_folder_is_refused(commands: PublishingCommands) -> None:
    commands.run("publish", str(commands.write_release("2.0.0")), "--draft")
    commands.repository.releases[0].assets[0].name = "../escaped"
    assert commands.run("fetch-draft", str(commands.root / "fetched")) == 20
    assert "../escaped is not a valid asset name" in commands.capsys.readouterr().err
    assert not (commands.root / "escaped").exists()


def test_a_killed_run_can_be_continued(commands: PublishingCommands) -> None:
    """The process is killed during an upload, while publishing, and while pushing."""
    folder = commands.write_release("2.0.0")
    words = [sys.executable, "-P", "-m", "stigmer_packaging.cli", "publish", str(folder)]
    words += [f"--manifest={commands.root}/manifest.yaml", f"--changelog={commands.root}/CHANGELOG.md"]
    words += [f"--target={target}" for target in PUBLISHED_TARGETS]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("packaging", "launcher"))}
    for method, part in (("POST", "/uploads/"), ("PATCH", "/releases/"), ("POST", "git-receive-pack")):
        running = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def kill(
            request: Request, process: subprocess.Popen[bytes] = running, at: tuple[str, str] = (method, part)
        ) -> None:
            if request.method == at[0] and at[1] in request.path:
                process.kill()

        commands.github.before = kill
        assert running.wait(60) == -signal.SIGKILL
    commands.github.before = lambda _: None
    assert commands.run("publish", str(folder)) == 0
    assert [release.draft for release in commands.repository.releases] == [False]
    assert len(commands.repository.releases[0].assets) == len(PUBLISHED_TARGETS) + 4
    assert "2.0.0" in commands.formula()


def test_a_tap_in_another_repository_is_updated_only_with_its_own_token(commands: PublishingCommands) -> None:
    folder = commands.write_release("2.0.0", tap=OTHER)
    assert commands.run("publish", str(folder)) == 23
    assert "TAP_TOKEN is empty" in commands.capsys.readouterr().err
    assert commands.repository.releases == []
    commands.monkeypatch.setenv("TAP_TOKEN", APP_TOKEN)
    assert commands.run("publish", str(folder)) == 0
    assert "2.0.0" in commands.github.world.repositories[OTHER].run_git("show", f"main:{PATH}")
    assert commands.formula() == ""
    pairs = list(zip(commands.github.log, commands.github.authorizations, strict=True))
    assert {sent for line, sent in pairs if f"{REPOSITORY}/" in line and sent} == {f"Bearer {TOKEN}"}
    assert f"Bearer {TOKEN}" not in {sent for line, sent in pairs if OTHER in line}


def test_a_version_is_rolled_back_to_the_previous_one(commands: PublishingCommands) -> None:
    assert commands.run("publish", str(commands.write_release("2.0.0"))) == 0
    before = commands.formula()
    assert commands.run("publish", str(commands.write_release("2.0.1"))) == 0
    after = commands.formula()
    assert "2.0.1" in after
    commands.capsys.readouterr()
    assert commands.run("rollback", "2.0.1", "--dry-run") == 0
    first, *files = commands.capsys.readouterr().out.splitlines()
    assert first == f"{REPOSITORY}: {PATH} from 2.0.1 back to 2.0.0"
    names = [line.rpartition("/")[2] for line in files]
    assert (len(names), names[-1]) == (len(PUBLISHED_TARGETS) + 1, "stigmer-2.0.0.tar.gz")
    assert commands.formula() == after
    for _ in range(2):
        assert commands.run("rollback", "v2.0.1") == 0
        assert commands.formula() == before
    assert commands.repository.run_git("rev-list", "--count", "main") == "4"
    assert commands.repository.run_git("log", "-1", "--format=%s", "main") == "stigmer 2.0.0: roll back 2.0.1"


def test_a_version_that_is_published_during_a_rollback_is_not_withdrawn(commands: PublishingCommands) -> None:
    for version in ("2.0.0", "2.0.1"):
        commands.run("publish", str(commands.write_release(version)))
    newer = commands.formula().replace("2.0.1", "2.0.2")

    def race(request: Request) -> None:
        if request.path.endswith("git-receive-pack"):
            commands.github.before = lambda _: None
            change_tap(commands.repository, PATH, newer)

    commands.github.before = race
    assert commands.run("rollback", "2.0.1") == 24
    assert f"{REPOSITORY} now serves 2.0.2" in commands.capsys.readouterr().err
    assert commands.formula() == newer


def test_a_rollback_to_files_that_are_gone_is_refused(commands: PublishingCommands) -> None:
    commands.run("publish", str(commands.write_release("2.0.0")))
    commands.run("publish", str(commands.write_release("2.0.1")))
    old = commands.repository.published("v2.0.0")
    old.assets[:] = [asset for asset in old.assets if not asset.name.endswith("bottle.tar.gz")]
    assert commands.run("rollback", "2.0.1") == 22
    assert "404" in commands.capsys.readouterr().err
    assert "2.0.1" in commands.formula()


def test_a_rollback_without_a_way_back_is_refused(commands: PublishingCommands) -> None:
    for version in ("2.0.0", "2.0.1", "2.0.2"):
        assert commands.run("publish", str(commands.write_release(version))) == 0
    for version, message in (
        ("1.0.0", "never served stigmer 1.0.0\nHint: name a version that it served: 2.0.2, 2.0.1, 2.0.0\n"),
        ("2.0.0", "had no earlier formula\nHint: release a higher version\n"),
        ("2.0.1", "serves 2.0.2, not 2.0.1\nHint: to withdraw 2.0.2, run `scripts/rollback 2.0.2`\n"),
    ):
        assert commands.run("rollback", version) == 24
        assert message in commands.capsys.readouterr().err
    assert "2.0.2" in commands.formula()
