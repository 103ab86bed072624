"""The workflows: generated, pinned, least privilege, nothing but scripts of ours."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from stigmer_packaging.ci.workflow_file import Workflow, WorkflowJob, parse_workflow, read_workflow
from stigmer_packaging.ci.workflow_lint import parse_actionlint, parse_zizmor
from stigmer_packaging.ci.workflows import STAGES, WORKFLOWS, fill, find_stale, render_workflows
from stigmer_packaging.formula.tap_files import RUNNERS
from stigmer_packaging.lib.errors import WorkflowError
from stigmer_packaging.manifest.reader import load_manifest

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "packaging" / "workflows"
COMMITTED = ROOT / ".github" / "workflows"
MANIFEST = load_manifest(ROOT / "packaging" / "manifest.yaml")
JOBS = [
    pytest.param(job, id=f"{name}-{job.name}")
    for name in WORKFLOWS
    for job in read_workflow(COMMITTED / f"{name}.yml").jobs
]
PINNED = re.compile(r"uses: [\w-]+/[\w/-]+@[0-9a-f]{40} # v?\d+(\.\d+)+$")


def release_of(text: str) -> Workflow:
    return parse_workflow(text)


def test_what_is_committed_is_what_the_manifest_gives() -> None:
    """The staleness check that scripts/check runs."""
    assert find_stale(render_workflows(MANIFEST, TEMPLATES), COMMITTED) == ()


def test_a_workflow_that_somebody_edited_or_removed_is_found(tmp_path: Path) -> None:
    """The check fails for the right reason."""
    rendered = render_workflows(MANIFEST, TEMPLATES)
    for name, text in rendered.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "check.yml").write_text(rendered["check.yml"].replace("contents: read", "contents: write"))
    (tmp_path / "verify.yml").unlink()
    assert find_stale(rendered, tmp_path) == ("check.yml", "verify.yml")


def test_the_matrix_is_the_manifest_s_targets_on_their_machines() -> None:
    """Another manifest gives another matrix, for building, for verifying and for installing."""
    fewer = replace(MANIFEST, targets={name: MANIFEST.targets[name] for name in ("linux-amd64", "darwin-arm64")})
    jobs = {job.name: job for job in release_of(render_workflows(fewer, TEMPLATES)["release.yml"]).jobs}
    for name in (*STAGES, "verify", "install"):
        assert {leg["target"]: leg["runner"] for leg in jobs[name].legs} == {
            "linux-amd64": RUNNERS["linux-amd64"],
            "darwin-arm64": RUNNERS["darwin-arm64"],
        }


def test_every_target_of_the_manifest_has_a_machine() -> None:
    """A new target without a runner would fail here and not in the middle of a release."""
    assert set(MANIFEST.targets) <= set(RUNNERS)


def test_a_release_goes_from_stage_to_stage_and_moves_the_tap_only_after_what_was_published_is_verified() -> None:
    """The order in which nothing broken is ever public."""
    jobs = {job.name: job for job in read_workflow(COMMITTED / "release.yml").jobs}
    order = ["plan", *STAGES, "formula", "attest", "bill", "draft", "verify", "publish", "install", "announce"]
    assert list(jobs) == order
    assert all(before in _behind(jobs, after) for before, after in itertools.pairwise(order) if after != "bill")


def _behind(jobs: dict[str, WorkflowJob], name: str) -> set[str]:
    needs = set(jobs[name].needs)
    return needs.union(*(_behind(jobs, need) for need in needs))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_its_full_commit_with_the_version_beside_it(name: str) -> None:
    """A tag can be moved under us."""
    lines = (COMMITTED / f"{name}.yml").read_text(encoding="utf-8").splitlines()
    used = [line.strip() for line in lines if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line.removeprefix("- "))] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_begins_without_any_permission_and_says_what_happens_to_two_runs_at_once(name: str) -> None:
    """What a job may do, it names itself."""
    workflow = read_workflow(COMMITTED / f"{name}.yml")
    assert workflow.permissions == {}
    assert workflow.concurrency["group"]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_runs_scripts_of_ours_and_nothing_else(job: WorkflowJob) -> None:
    """What runs there runs here too, and no text from outside gets into a shell line."""
    for line in (step.run for step in job.steps if step.run):
        script = line.split()[0]
        assert "${{" not in line
        assert "\n" not in line.strip()
        assert (ROOT / script).is_file(), line
        assert (ROOT / script).stat().st_mode & 0o111, line


@pytest.mark.parametrize("job", JOBS)
def test_a_job_has_a_time_limit_and_the_permissions_it_names(job: WorkflowJob) -> None:
    """Six hours is GitHub's own limit; only jobs behind the release environment may write contents."""
    assert 0 < job.minutes <= 90
    assert job.permissions is not None
    assert job.permissions.get("contents") != "write" or job.environment == "release"


def test_a_marker_nobody_knows_is_an_error_and_not_a_text_in_the_workflow() -> None:
    """A typing mistake in a template does not reach GitHub."""
    with pytest.raises(WorkflowError, match="@runer@"):
        fill("runs-on: @runer@\n", {"runner": "x"})


def test_lines_put_in_keep_their_indentation_and_an_empty_value_leaves_no_line() -> None:
    """Values hold lines, and may ask for values."""
    values = {"steps": "- a\n  b: @word@\n", "word": "w", "none": ""}
    assert fill("x:\n  @steps@\n  @none@\ny: 1\n", values) == "x:\n  - a\n    b: w\ny: 1\n"


def test_what_the_linters_say_is_read_with_file_and_line() -> None:
    """Both formats, as the programs print them."""
    actionlint = '[{"message":"no","filepath":"/x/a.yml","line":3,"column":1,"kind":"expression","snippet":""}]'
    assert [str(one) for one in parse_actionlint(actionlint)] == ["a.yml:3: no (expression) [actionlint]"]
    assert parse_actionlint("null") == ()
    place = '{"symbolic":{"key":{"Local":{"verbatim_path":"/x/a.yml"}},"kind":"Primary"},"concrete":{"location":{"start_point":{"row":4}}}}'
    zizmor = f'[{{"ident":"artipacked","desc":"kept","ignored":IGNORED,"locations":[{place}]}}]'
    assert [str(one) for one in parse_zizmor(zizmor.replace("IGNORED", "false"))] == [
        "a.yml:5: kept (artipacked) [zizmor]"
    ]
    assert parse_zizmor(zizmor.replace("IGNORED", "true")) == ()


def test_a_tap_of_its_own_gets_its_key_in_the_jobs_that_need_it_and_the_own_repository_none() -> None:
    """With `tap: self` a release needs no secret at all."""
    assert "secrets." not in render_workflows(MANIFEST, TEMPLATES)["release.yml"]
    elsewhere = replace(MANIFEST, product=replace(MANIFEST.product, tap="somebody/homebrew-tap"))
    jobs = release_of(render_workflows(elsewhere, TEMPLATES)["release.yml"]).jobs
    holders = {job.name for job in jobs for step in job.steps if "TAP_DEPLOY_KEY" in step.env}
    assert holders == {"draft", "publish"}
