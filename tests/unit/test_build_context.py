"""The build context: inputs of a release, probes of frozen services and policies of bottles."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path
from typing import cast

import pytest

from stigmer_packaging.cli.main import BuildOptions, deliver_results
from stigmer_packaging.freeze.python.provide import digest_of
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.lib import command
from stigmer_packaging.lib.environment import build_environment
from stigmer_packaging.lib.errors import SourceError
from stigmer_packaging.lib.interpreter import plain_environment
from stigmer_packaging.lib.target import Target
from stigmer_packaging.manifest.model import Proof, Readiness
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.pipeline.context import SHIPPED, BuildContext
from stigmer_packaging.records.release import read_release
from stigmer_packaging.records.workspace import Workspace
from support.manifest_texts import PATH

ROOT = Path(__file__).parents[2]
MANIFEST = load_manifest(PATH, reference=True)
LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")
PARTS = {part.name: part for part in MANIFEST.components}


def build_context(folder: Path, *, root: Path = ROOT, checkout: str = "", python: str = "") -> BuildContext:
    workspace = Workspace(folder / "build", folder / "cache")
    tree = checkout or str(ROOT / MANIFEST.checkout)
    env = build_environment(os.environ)
    return BuildContext(MANIFEST, workspace, root, LINUX, tree, env, 1, lambda _: None, python=python)


def test_a_frozen_service_is_probed_with_the_environment_of_its_component_without_an_api_key(tmp_path: Path) -> None:
    probe = build_context(tmp_path).probe_of(PARTS["agent-runner"])
    assert probe.ready == "Worker ready"
    assert probe.environment["STIGMER_LLM_PROVIDER"] == "ollama"
    assert probe.environment["STIGMER_BACKEND_ENDPOINT"] == "localhost:{port.server}"
    assert probe.environment["SANDBOX_ROOT_DIR"] == "{home}/workspace"
    assert probe.environment["TEMPORAL_SERVICE_ADDRESS"] == "{temporal.address}"
    assert probe.temporal
    assert not {"STIGMER_LLM_API_KEY", "STIGMER_LLM_MODEL"} & set(probe.environment), "empty variables are not set"


def test_the_agent_runner_uses_no_proxy_for_the_local_server() -> None:
    """Unlike Go, the gRPC core library applies the user's http_proxy to localhost, too."""
    environment = PARTS["agent-runner"].run.environment
    host, _, _ = environment["STIGMER_BACKEND_ENDPOINT"].partition(":")
    assert host in environment["no_grpc_proxy"].split(",")


def test_a_service_without_temporal_in_needs_or_readiness_is_probed_without_it(tmp_path: Path) -> None:
    part = PARTS["agent-runner"]
    run = dataclasses.replace(
        part.run, needs=(), readiness=Readiness(9, (Proof("grpc", "server"),)), ports={"own": 7777}
    )
    probe = build_context(tmp_path).probe_of(dataclasses.replace(part, run=run))
    assert (probe.temporal, probe.port) == (False, "own")


def test_a_frozen_service_is_probed_with_paths_relative_to_its_home(tmp_path: Path) -> None:
    """The probe runs in that home; replacing the placeholder by nothing would make the path absolute."""
    part = PARTS["agent-runner"]
    run = dataclasses.replace(part.run, arguments=("--db", "{home.relative}/data/own.db"))
    assert build_context(tmp_path).probe_of(dataclasses.replace(part, run=run)).arguments == ("--db", "./data/own.db")


def test_the_source_archive_holds_tracked_files_or_without_git_all_but_caches(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for name in (
        "LICENSE",
        "launcher/main.py",
        "packaging/manifest.yaml",
        "tests/test_it.py",
        "launcher/__pycache__/x",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    expected = ["LICENSE", "launcher/main.py", "packaging/manifest.yaml"]
    assert sorted(build_context(tmp_path, root=root).sources) == expected
    command.run(["git", "-C", root, "init", "-q"])
    command.run(["git", "-C", root, "add", "LICENSE", "launcher/main.py"])
    assert sorted(build_context(tmp_path, root=root).sources) == expected[:2]


def test_a_repository_that_git_refuses_to_read_is_an_error(
    tmp_path: Path,
) -> None:
    """For root in a container with another user's checkout, git lists nothing; packing all files could include keys."""
    root = tmp_path / "checkout"
    (root / "launcher").mkdir(parents=True)
    (root / "launcher/secret.env").touch()
    command.run(["git", "-C", root, "init", "-q"])
    context = build_context(tmp_path, root=root)
    other_owner = {**context.env, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": str(tmp_path)}
    with pytest.raises(SourceError, match="dubious ownership"):
        _ = dataclasses.replace(context, env=other_owner).sources


_SETTINGS = ("user.name=t", "user.email=t@example.invalid", "commit.gpgsign=false")


def git_in(root: Path) -> list[str]:
    """Return the first words of a git command in a repository, independent of the user's settings."""
    return ["git", "-C", str(root), *(word for setting in _SETTINGS for word in ("-c", setting))]


def test_the_commit_of_a_release_is_known_only_if_all_shipped_files_are_committed(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    (root / "launcher").mkdir(parents=True)
    (root / "launcher/main.py").touch()
    context = build_context(tmp_path, root=root)
    assert context.commit == "", "not a repository"
    git = git_in(root)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        assert context.commit == ""
        command.run([*git, *words])
    commit = command.run([*git, "rev-parse", "HEAD"]).stdout.strip()
    (root / "notes").touch()
    assert context.commit == commit, "untracked files that are not shipped do not matter"
    (root / "launcher/new.py").touch()
    assert context.commit == "", "an uncommitted file may end up in the release"


def test_a_release_records_its_commit_only_if_the_tree_did_not_change_meanwhile(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    (root / "launcher").mkdir(parents=True)
    (root / "launcher/main.py").touch()
    git = git_in(root)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        command.run([*git, *words])
    context = build_context(tmp_path, root=root)
    options = BuildOptions((), tmp_path, "", PATH, "", "", dry_run=False, as_json=False, verbose=False)
    for before, recorded in ((context.commit, context.commit), ("a" * 40, "")):
        deliver_results(options, (), context, before)
        assert read_release(tmp_path / "delivered").commit == recorded


def test_a_changed_mode_or_type_of_a_source_file_changes_the_source_archive(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "packaging" / "program", root / "packaging" / "program")
    (root / "launcher" / "man").mkdir(parents=True)
    for name in ("LICENSE", "launcher/README.md", "launcher/man/stigmer.1"):
        (root / name).write_text("launcher/README.md", encoding="utf-8")

    def facts() -> object:
        return build_context(tmp_path, root=root).inputs([], "obtain").source

    before = facts()
    assert facts() == before
    (root / "launcher/README.md").chmod(0o755)
    executable = facts()
    (root / "LICENSE").unlink()
    (root / "LICENSE").symlink_to("launcher/README.md")
    assert before != executable != facts() != before


def test_the_source_archive_holds_everything_that_bottles_are_built_from() -> None:
    """The formula contains the checksum of the source archive, so the archive cannot contain the formula."""
    assert all((ROOT / name).exists() for name in SHIPPED)
    assert "Formula" not in SHIPPED


def test_a_bottle_is_audited_against_the_promises_of_the_manifest_for_its_target(tmp_path: Path) -> None:
    """With the pinned Python, no folder of this machine is tolerated in a bottle."""
    context = build_context(tmp_path)
    linux, mac = context.policy_of(LINUX), context.policy_of(MAC)
    assert (linux.glibc_floor, linux.macos_minimum, linux.size_budget) == ("2.31", "", 108_000_000)
    assert (mac.glibc_floor, mac.macos_minimum) == ("", "14.0")
    assert (linux.tolerated, linux.lenient) == ((), ())
    assert str(tmp_path / "build") in linux.forbidden


def test_workspace_cache_and_source_tree_are_forbidden_in_a_bottle(tmp_path: Path) -> None:
    """A tree given as PATH@REF is exported into the workspace, but the path of its repository is forbidden, too."""
    folders = {str(tmp_path / name) for name in ("build", "cache", "src")}
    shutil.copytree(ROOT / MANIFEST.checkout, tmp_path / "src")
    git = git_in(tmp_path / "src")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        command.run([*git, *words])
    for checkout in ("src", "src@HEAD"):
        assert folders <= set(build_context(tmp_path, checkout=str(tmp_path / checkout)).policy_of(LINUX).forbidden)


def test_a_bottle_frozen_with_the_host_python_is_audited_leniently(tmp_path: Path) -> None:
    """It may contain the path of that Python, and needing a newer glibc is only a warning; other targets stay strict."""
    context = build_context(tmp_path, python="host")
    assert context.policy_of(LINUX).tolerated == (sys.base_prefix,)
    assert context.policy_of(LINUX).lenient == ("glibc-floor",)
    assert context.policy_of(Target("linux", "arm64")).tolerated == ()


def test_checking_what_is_current_builds_no_python(tmp_path: Path) -> None:
    """A dry run must stay fast, so the facts use the digest of the Python recipe."""
    context = build_context(tmp_path)
    facts = context.inputs([LINUX], "bottle").parts["linux-amd64/launcher"]
    assert digest_of(read_recipe(ROOT / "packaging/python", LINUX)) in cast("tuple[str, ...]", facts["python"])
    assert not (tmp_path / "cache" / "freeze-python").exists()


def test_parts_for_macos_are_frozen_for_the_oldest_supported_version(tmp_path: Path) -> None:
    """Compilers and Python's build read it from the environment; the user's own setting must not get through."""
    freezer = build_context(tmp_path, python="host").freezer_of(MAC)
    assert freezer.facts()["macos"] == "14.0"
    assert plain_environment(freezer.env)["MACOSX_DEPLOYMENT_TARGET"] == "14.0"
    assert "MACOSX_DEPLOYMENT_TARGET" not in build_environment({"MACOSX_DEPLOYMENT_TARGET": "26.0"})
    assert build_context(tmp_path).freezer_of(LINUX).facts()["macos"] == ""


def test_inputs_of_the_obtain_stage_need_neither_freezer_nor_mirror(tmp_path: Path) -> None:
    context = build_context(tmp_path)
    inputs = context.inputs([LINUX, MAC], "obtain")
    assert len(inputs.parts) == 6
    assert not {"freezer_of", "mirror"} & set(vars(context))
