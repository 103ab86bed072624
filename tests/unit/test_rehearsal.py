"""The rehearsal of a workflow: emulated actions, expressions, and jobs in their order with their permissions."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.ci.actions import JobContext, run_action, substitute
from stigmer_packaging.ci.rehearsal import READER, WRITER, RehearsalSetup, rehearse
from stigmer_packaging.ci.workflow_file import parse_workflow
from stigmer_packaging.cli import main as cli
from stigmer_packaging.cli.rehearse import with_section
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import BusyError, WorkflowError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.publish.plan import changelog_section
from stigmer_packaging.records.workspace import Workspace
from support.native_code import place

LINUX = Target("linux", "amd64")
WORKFLOW = """
name: small
jobs:
  last:
    runs-on: ubuntu-24.04
    needs: [made]
    permissions: {contents: write}
    steps:
      - name: Take
        uses: actions/download-artifact@0 # v0
        with: {name: made-linux-amd64}
      - name: Say
        env: {TOKEN: "${{ github.token }}"}
        run: cat out.txt > ../../result && echo "$TOKEN" >> ../../result
  made:
    runs-on: ${{ matrix.runner }}
    permissions: {contents: read}
    strategy:
      matrix:
        include:
          - {target: linux-amd64, runner: ubuntu-24.04, level: vm}
          - {target: darwin-arm64, runner: macos-15, level: macos}
    steps:
      - uses: actions/checkout@0 # v0
      - name: Make
        env: {TOKEN: "${{ github.token }}", LEVEL: "${{ matrix.level }}"}
        run: echo "$TOKEN $LEVEL $(cat here) $(ls build)" > out.txt
      - uses: actions/upload-artifact@0 # v0
        with: {name: "made-${{ matrix.target }}", path: out.txt}
  brewed:
    runs-on: ubuntu-24.04
    permissions: {contents: read}
    steps:
      - uses: Homebrew/actions/setup-homebrew@0 # v0
"""


@pytest.fixture
def job_context(tmp_path: Path) -> JobContext:
    (tmp_path / "job").mkdir()
    return JobContext(tmp_path / "job", tmp_path / "artifacts", lambda _: None)


@pytest.fixture
def rehearsal_setup(tmp_path: Path) -> RehearsalSetup:
    repository, folder, seed = (tmp_path / name for name in ("repository", "work", "seed"))
    (seed / "dist").mkdir(parents=True)
    folder.mkdir()
    env = build_environment({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C", str(repository)]
    repository.mkdir()
    (repository / "here").write_text("tagged")
    for words in (["init", "-q"], ["commit", "--allow-empty", "-qm", "zero"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True, env=env)
    subprocess.run([*git, "tag", "v1"], check=True, env=env)
    return RehearsalSetup(folder, repository.as_uri(), "v1", LINUX, seed, env, {"level": "sandbox"}, lambda _: None)


def test_jobs_run_in_dependency_order_with_the_token_that_their_permissions_allow(
    rehearsal_setup: RehearsalSetup,
) -> None:
    results = rehearse(parse_workflow(WORKFLOW), rehearsal_setup)
    assert {one.job: one.skip_reason for one in results} == {
        "made linux-amd64": "",
        "made darwin-arm64": "runs on macos-15",
        "brewed": "needs the real GitHub and the real brew",
        "last": "",
    }
    assert (rehearsal_setup.folder / "result").read_text().splitlines() == [f"{READER} sandbox tagged dist", WRITER]


def test_a_failing_step_ends_the_rehearsal_and_is_reported_with_its_job(rehearsal_setup: RehearsalSetup) -> None:
    broken = WORKFLOW.replace("run: echo", "run: ls /nowhere/at/all && echo")
    with pytest.raises(WorkflowError, match=r"the job made failed at 'Make'.*(?s:.*)nowhere"):
        rehearse(parse_workflow(broken), rehearsal_setup)
    assert not (rehearsal_setup.folder / "result").exists()


def test_a_job_has_a_checkout_without_history_and_a_shell_without_pipefail(rehearsal_setup: RehearsalSetup) -> None:
    """As on GitHub: actions/checkout fetches one commit, and the default shell is `bash -e`."""
    commands = "false | true; git rev-list --count HEAD > ../../result"
    workflow = WORKFLOW.replace('echo "$TOKEN $LEVEL $(cat here) $(ls build)" > out.txt', f"{commands}; touch out.txt")
    made = replace(parse_workflow(workflow), jobs=parse_workflow(workflow).jobs[:1])
    rehearse(made, rehearsal_setup)
    assert (rehearsal_setup.folder / "result").read_text() == "1\n"


def test_jobs_for_other_machines_are_left_out(rehearsal_setup: RehearsalSetup) -> None:
    results = rehearse(parse_workflow(WORKFLOW), replace(rehearsal_setup, host=Target("linux", "arm64")))
    assert all(one.skip_reason for one in results)


def test_expressions_are_evaluated_and_unknown_ones_are_an_error() -> None:
    assert substitute("a ${{ matrix.target }} b", {"matrix.target": "x"}) == "a x b"
    with pytest.raises(WorkflowError, match=r"matrix\.targte"):
        substitute("${{ matrix.targte }}", {"matrix.target": "x"})
    with pytest.raises(WorkflowError, match="does not support"):
        substitute("${{ a || b }}", {"a": "x", "b": "y"})


def test_an_artifact_loses_file_modes_and_the_name_of_a_single_folder(job_context: JobContext) -> None:
    """As on GitHub, which is why files are packed before they are uploaded."""
    place(job_context.folder / "dist" / "program", b"x")
    run_action("actions/upload-artifact@0", {"name": "release", "path": "dist/"}, job_context)
    run_action("actions/download-artifact@0", {"name": "release", "path": "got"}, job_context)
    assert (job_context.folder / "got" / "program").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("path", "wanted", "expected"),
    [
        # GitHub strips the folders that all of the paths share
        ("dist/release.json\ndist/logs/\n", {"name": "made-a"}, ["logs/log", "release.json"]),
        ("dist/logs/\nsboms/\n", {"name": "made-a"}, ["dist/logs/log", "sboms/sbom"]),
        ("dist/logs/\n", {"pattern": "made-*"}, ["made-a/log", "made-b/log"]),
    ],
)
def test_paths_are_kept_below_their_common_folder_and_a_pattern_gives_each_artifact_a_folder(
    job_context: JobContext, path: str, wanted: dict[str, str], expected: list[str]
) -> None:
    for name in ("dist/release.json", "dist/logs/log", "sboms/sbom"):
        place(job_context.folder / name, b"")
    for name in ("made-a", "made-b"):
        run_action("actions/upload-artifact@0", {"name": name, "path": path}, job_context)
    run_action("actions/download-artifact@0", {**wanted, "path": "got"}, job_context)
    got = job_context.folder / "got"
    assert sorted(path.relative_to(got).as_posix() for path in got.rglob("*") if path.is_file()) == expected


def test_a_single_artifact_that_matches_a_pattern_gets_no_folder_of_its_own(job_context: JobContext) -> None:
    place(job_context.folder / "dist" / "release.json", b"")
    run_action("actions/upload-artifact@0", {"name": "reports-a", "path": "dist/"}, job_context)
    run_action("actions/download-artifact@0", {"pattern": "reports-*", "path": "got"}, job_context)
    assert (job_context.folder / "got" / "release.json").is_file()


def test_hidden_files_are_not_uploaded(job_context: JobContext) -> None:
    for name in ("dist/release.json", "dist/.hidden", "dist/.logs/log"):
        place(job_context.folder / name, b"")
    run_action("actions/upload-artifact@0", {"name": "release", "path": "dist/"}, job_context)
    run_action("actions/download-artifact@0", {"name": "release", "path": "got"}, job_context)
    assert [path.name for path in (job_context.folder / "got").iterdir()] == ["release.json"]


@pytest.mark.parametrize("pattern", ["dist/", "dist/*"])
def test_everything_below_a_folder_that_a_pattern_matches_is_attested(tmp_path: Path, pattern: str) -> None:
    for name in ("dist/bottle", "dist/Formula/formula"):
        place(tmp_path / name, b"")
    told: list[str] = []
    run_action("actions/attest@0", {"subject-path": pattern}, JobContext(tmp_path, tmp_path, told.append))
    assert told == ["would attest formula, bottle"]


@pytest.mark.parametrize(
    ("uses", "inputs"),
    [
        ("actions/upload-artifact", {"name": "x", "path": "gone"}),
        ("actions/download-artifact", {"name": "gone"}),
        ("actions/download-artifact", {"pattern": "gone-*"}),
        ("actions/attest", {"subject-path": "dist/*.tar.gz"}),
        ("actions/attest", {"subject-path": "*", "sbom-path": "gone.json"}),
        ("actions/attest", {"subject-checksums": "gone.sha256"}),
        ("somebody/else", {}),
    ],
)
def test_an_action_that_would_fail_on_github_fails_in_the_rehearsal(
    job_context: JobContext, uses: str, inputs: dict[str, str]
) -> None:
    (job_context.folder / "there").write_text("x")
    with pytest.raises(WorkflowError):
        run_action(f"{uses}@0", inputs, job_context)


def test_subjects_of_an_attestation_are_files_or_the_names_in_a_list_of_checksums(job_context: JobContext) -> None:
    lines: list[str] = []
    place(job_context.folder / "dist" / "one", b"")
    place(job_context.folder / "sums", f"{'0' * 64}  two\n{'0' * 64}  three\n".encode())
    for inputs in ({"subject-path": "dist/*"}, {"subject-checksums": "sums"}):
        run_action("actions/attest@0", inputs, replace(job_context, report=lines.append))
    assert lines == ["would attest one", "would attest two, three"]


@pytest.mark.parametrize("prepared", ["", "## 2.1.0 - 2026-11-29\n\n"], ids=["not prepared", "prepared"])
def test_the_rehearsed_commit_has_its_changes_under_the_version(prepared: str) -> None:
    """An empty section of unreleased changes was once renamed to the version, and the release was refused."""
    changelog = f"# Changelog\n\n## Unreleased\n\n{prepared}- New.\n"
    assert changelog_section(with_section(changelog, "2.1.0"), "2.1.0") == "- New."


def test_a_rehearsal_does_not_start_beside_a_release_in_the_same_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would remove the folder of another rehearsal, and start with half of what is being built."""
    kept = tmp_path / "build" / "rehearsal" / "kept"
    kept.mkdir(parents=True)
    monkeypatch.setattr("stigmer_packaging.cli.rehearse.ROOT", tmp_path)
    with Workspace(tmp_path / "build", tmp_path / "cache").locked("release"):
        assert cli.run(["rehearse"]) == BusyError.exit_code
    assert "is in use by process" in capsys.readouterr().err
    assert kept.is_dir()
