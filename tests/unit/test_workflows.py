"""The workflows agree with the manifest, pin their actions, have least privilege, and run only our own scripts."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.version import Version

from stigmer_packaging.ci.workflow_file import WorkflowJob, parse_workflow
from stigmer_packaging.ci.workflows import LEVELS, NAMES, find_disagreements, read_workflows
from stigmer_packaging.formula.tap_files import RUNNERS
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.reader import load_manifest

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / ".github" / "workflows"
MANIFEST = load_manifest(ROOT / "packaging" / "manifest.yaml")
WORKFLOWS = read_workflows(COMMITTED)
JOBS = [pytest.param(job, id=f"{name}-{job.name}") for name in NAMES for job in WORKFLOWS[name].jobs]
ENV_LINE = "          GITHUB_TOKEN: ${{ github.token }}\n"
PINNED = re.compile(r"uses: ([\w-]+/[\w/-]+)@{1,2}([0-9a-f]{40}) # v?\d+(\.\d+)+$")

NEWEST_KNOWN_UV = {"9.0.0": "0.11.30"}
"""The newest uv whose sha256 a version of setup-uv contains. Source: its src/download/checksum/known-checksums.ts."""


def problems_of(manifest: Manifest = MANIFEST, **changes: tuple[str, str]) -> list[str]:
    """Return the disagreements of the committed workflows after one change in each of the named files."""
    changed = dict(WORKFLOWS)
    for name, (before, after) in changes.items():
        text = (COMMITTED / f"{name}.yml").read_text(encoding="utf-8")
        assert before in text
        changed[name] = parse_workflow(text.replace(before, after, 1))
    return list(find_disagreements(changed, manifest))


def test_the_workflows_agree_with_the_manifest() -> None:
    assert problems_of() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ("          - {target: linux-arm64, runner: ubuntu-24.04-arm, level: sandbox}\n", ""),
            "release.yml: verify: has no leg for linux-arm64",
        ),
        (
            ("{target: linux-amd64, tag", "{target: linux-riscv64, tag"),
            "release.yml: sbom: has a leg for linux-riscv64, which is not a target",
        ),
        (("runner: macos-15,", "runner: macos-11,"), "runner of darwin-arm64 is macos-11, not macos-15"),
        (("level: vm", "level: sandbox"), "level of linux-amd64 is sandbox, not vm"),
        (("tag: arm64_sonoma", "tag: arm64_tahoe"), "tag of darwin-arm64 is arm64_tahoe, not arm64_sonoma"),
        (("runs-on: ubuntu-24.04", "runs-on: ubuntu-18.04"), "release.yml: build: runs on ubuntu-18.04"),
        (
            ("verify-documented stigmer/tap/stigmer", "verify-documented other/tap/stigmer"),
            "installs other/tap/stigmer, but the formula is stigmer/tap/stigmer",
        ),
        (
            (
                f"{ENV_LINE}        run: scripts/publish dist\n",
                f"{ENV_LINE}          TAP_DEPLOY_KEY: x\n        run: scripts/publish dist\n",
            ),
            "publish: needs no TAP_DEPLOY_KEY",
        ),
    ],
)
def test_a_workflow_that_disagrees_with_the_manifest_is_reported(change: tuple[str, str], problem: str) -> None:
    found = problems_of(release=change)
    assert any(problem in one for one in found), found


VERIFY_LINE = "        run: scripts/verify dist --level "


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ("    timeout-minutes: 90\n    perm", "    timeout-minutes: 90\n    continue-on-error: true\n    perm"),
            "build: may",
        ),
        (
            ("    needs: [collect]\n", "    needs: [collect]\n    if: ${{ always() }}\n"),
            "attest: runs even if a job that it needs",
        ),
        (("    needs: [draft]\n", "    needs: [draft]\n    if: '!cancelled()'\n"), "verify-draft: runs even if"),
        ((VERIFY_LINE, f"        continue-on-error: true\n{VERIFY_LINE}"), "verify: continues if this step fails"),
        ((VERIFY_LINE, f"        if: failure()\n{VERIFY_LINE}"), "verify: continues if this step fails"),
        (
            ("run: scripts/publish dist --draft", "run: scripts/publish dist --draft || true"),
            "draft: continues if this",
        ),
        (("run: scripts/packaging agree", "run: scripts/packaging agree | cat"), "build: continues if this step fails"),
        (("cancel-in-progress: false", "cancel-in-progress: true"), "publish: can be cancelled by the next run"),
    ],
)
def test_a_workflow_that_would_continue_after_a_failure_or_be_cancelled_is_reported(
    change: tuple[str, str], problem: str
) -> None:
    found = problems_of(release=change)
    assert any(f"release.yml: {problem}" in one for one in found), found


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ("run: scripts/verify drafted", "run: scripts/packaging announce drafted"),
            "verify-draft: does not verify at",
        ),
        (
            (VERIFY_LINE, f"        if: runner.os == 'macOS'\n{VERIFY_LINE}"),
            "verify: does not verify at the level of its leg",
        ),
        (("LEVEL: ${{ matrix.level }}", "LEVEL: sandbox"), "verify: does not verify at the level of its leg"),
    ],
)
def test_a_workflow_that_does_not_verify_at_every_level_is_reported(change: tuple[str, str], problem: str) -> None:
    found = problems_of(release=change)
    assert any(f"release.yml: {problem}" in one for one in found), found


@pytest.mark.parametrize("name", ["release", "verify"])
def test_the_documented_command_is_run_with_the_brew_that_users_have(name: str) -> None:
    """For a tap's own workflows, setup-homebrew checks out brew's main branch."""
    found = problems_of(MANIFEST, **{name: ("          stable: true", "          stable: false")})
    assert f"{name}.yml: install: installs with brew's main branch: Install Homebrew" in found


@pytest.mark.parametrize("name", ["release", "verify"])
def test_a_job_that_fetches_the_tap_again_must_not_let_homebrew_link_it_to_the_checkout(name: str) -> None:
    """The job failed after a successful installation, as setup-homebrew could not remove the link in the end."""
    found = problems_of(MANIFEST, **{name: ("          GITHUB_ACTIONS_HOMEBREW_SELF_HOSTED: ", "          OTHER: ")})
    assert [one for one in found if f"{name}.yml: install: fails after the installation" in one], found


def test_another_manifest_requires_other_workflows() -> None:
    """One with fewer targets, and one with a separate tap, whose key is needed by the two jobs that change it."""
    fewer = replace(MANIFEST, targets={name: MANIFEST.targets[name] for name in ("linux-amd64", "darwin-arm64")})
    found = problems_of(fewer)
    assert "release.yml: install: has a leg for linux-arm64, which is not a target" in found
    elsewhere = replace(MANIFEST, product=replace(MANIFEST.product, tap="somebody/homebrew-tap"))
    lacking = {one for one in problems_of(elsewhere) if "lacks TAP_DEPLOY_KEY" in one}
    assert {one.split(": ")[1] for one in lacking} == {"draft", "publish"}


def test_every_target_of_the_manifest_has_a_machine_and_a_level() -> None:
    """A new target without them must fail here and not in the middle of a release."""
    assert set(MANIFEST.targets) <= set(RUNNERS)
    assert set(RUNNERS) == set(LEVELS)


def test_the_jobs_of_a_release_depend_on_each_other_in_this_order() -> None:
    """A release is verified twice before it is public."""
    jobs = {job.name: job for job in WORKFLOWS["release"].jobs}
    order = ["build", "verify", "collect", "attest", "sbom", "draft", "verify-draft", "publish", "install", "announce"]
    assert list(jobs) == order
    assert all(before in _all_needs(jobs, after) for before, after in itertools.pairwise(order) if after != "sbom")


def _all_needs(jobs: dict[str, WorkflowJob], name: str) -> set[str]:
    needs = set(jobs[name].needs)
    return needs.union(*(_all_needs(jobs, need) for need in needs))


def test_every_action_is_pinned_to_one_full_commit_with_its_version_beside_it() -> None:
    """A tag can be moved; two pins of one action mean that an update missed a place."""
    files = [*COMMITTED.glob("*.yml"), ROOT / "packaging" / "tap" / "tests.yml"]
    lines = [line.strip() for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    used = [PINNED.fullmatch(line.removeprefix("- ")) or line for line in lines if "uses:" in line]
    assert [line for line in used if isinstance(line, str)] == []
    pins = {(found[1], found[2]) for found in used if not isinstance(found, str)}
    assert len(pins) == len({name for name, _ in pins})


def test_setup_uv_knows_the_sha256_of_the_uv_that_it_downloads() -> None:
    """It installs a newer uv than it knows without any check, also in the jobs that publish."""
    pinned = re.compile(r"setup-uv@\w+ # v(\S+)\n *with:\n *version: (\S+)\n")
    text = "".join(file.read_text(encoding="utf-8") for file in COMMITTED.glob("*.yml"))
    found = pinned.findall(text)
    assert len(found) == text.count("setup-uv@")
    assert [uv for action, uv in found if Version(uv) > Version(NEWEST_KNOWN_UV[action])] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_has_no_permissions_by_default_and_a_concurrency_group(name: str) -> None:
    assert WORKFLOWS[name].permissions == {}
    assert WORKFLOWS[name].concurrency["group"]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_runs_only_scripts_of_this_repository(job: WorkflowJob) -> None:
    """So every step can also be run locally, and no text from outside gets into a shell line."""
    for line in (step.run for step in job.steps if step.run):
        script = line.split()[0]
        assert "${{" not in line
        assert "\n" not in line.strip()
        assert (ROOT / script).is_file(), line
        assert (ROOT / script).stat().st_mode & 0o111, line


@pytest.mark.parametrize("job", JOBS)
def test_a_job_has_a_time_limit_and_explicit_permissions(job: WorkflowJob) -> None:
    """GitHub's own limit is six hours; only jobs in the release environment may write contents."""
    assert 0 < job.minutes <= 90
    assert job.permissions is not None
    assert job.permissions.get("contents") != "write" or job.environment == "release"


def test_the_bottles_are_attested_with_the_names_that_brew_looks_for() -> None:
    """Since Homebrew 7, HOMEBREW_VERIFY_ATTESTATIONS covers other taps: `brew` looks for `NAME--VERSION.TAG.bottle.tar.gz`."""
    (attest,) = (job for job in WORKFLOWS["release"].jobs if job.name == "attest")
    named = [step.inputs["subject-checksums"] for step in attest.steps if "subject-checksums" in step.inputs]
    assert named == ["sboms/brew.sha256"]
    assert named[0].replace("sboms", "$sboms") in (ROOT / "scripts" / "collect-reports").read_text(encoding="utf-8")
