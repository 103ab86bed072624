"""What a release depends on is gathered once, and frozen services are tried as they will be run."""

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


def test_a_frozen_service_is_tried_in_its_own_environment_without_a_key(tmp_path: Path) -> None:
    probe = build_context(tmp_path).probe_of(PARTS["agent-runner"])
    assert probe.ready == "Worker ready"
    assert probe.environment["STIGMER_LLM_PROVIDER"] == "ollama"
    assert probe.environment["STIGMER_BACKEND_ENDPOINT"] == "localhost:{port.server}"
    assert probe.environment["SANDBOX_ROOT_DIR"] == "{home}/workspace"
    assert probe.environment["TEMPORAL_SERVICE_ADDRESS"] == "{temporal.address}"
    assert probe.temporal
    assert not {"STIGMER_LLM_API_KEY", "STIGMER_LLM_MODEL"} & set(probe.environment), "empty variables are not set"


def test_the_agent_runner_asks_no_proxy_for_the_server_of_this_machine() -> None:
    """The core of gRPC takes the user's http_proxy also for localhost; Go's proxies never apply to it."""
    environment = PARTS["agent-runner"].run.environment
    host, _, _ = environment["STIGMER_BACKEND_ENDPOINT"].partition(":")
    assert host in environment["no_grpc_proxy"].split(",")


def test_a_service_that_neither_needs_temporal_nor_is_ready_by_it_is_tried_without(tmp_path: Path) -> None:
    part = PARTS["agent-runner"]
    run = dataclasses.replace(
        part.run, needs=(), readiness=Readiness(9, (Proof("grpc", "server"),)), ports={"own": 7777}
    )
    probe = build_context(tmp_path).probe_of(dataclasses.replace(part, run=run))
    assert (probe.temporal, probe.port) == (False, "own")


def test_a_frozen_service_is_tried_with_paths_relative_to_its_home(tmp_path: Path) -> None:
    """It runs there; an empty text would make the path an absolute one."""
    part = PARTS["agent-runner"]
    run = dataclasses.replace(part.run, arguments=("--db", "{home.relative}/data/own.db"))
    assert build_context(tmp_path).probe_of(dataclasses.replace(part, run=run)).arguments == ("--db", "./data/own.db")


def test_the_source_archive_holds_what_git_tracks_and_without_git_what_does_not_lie_about(tmp_path: Path) -> None:
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
    wanted = ["LICENSE", "launcher/main.py", "packaging/manifest.yaml"]
    assert sorted(build_context(tmp_path, root=root).sources) == wanted
    command.run(["git", "-C", root, "init", "-q"])
    command.run(["git", "-C", root, "add", "LICENSE", "launcher/main.py"])
    assert sorted(build_context(tmp_path, root=root).sources) == wanted[:2]


def test_in_a_repository_that_git_refuses_nothing_that_lies_about_gets_into_the_source_archive(
    tmp_path: Path,
) -> None:
    """As root in a container with somebody's checkout: git lists nothing, and there may be keys beside the code."""
    root = tmp_path / "checkout"
    (root / "launcher").mkdir(parents=True)
    (root / "launcher/secret.env").touch()
    command.run(["git", "-C", root, "init", "-q"])
    context = build_context(tmp_path, root=root)
    another_users = {**context.env, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": str(tmp_path)}
    with pytest.raises(SourceError, match="dubious ownership"):
        _ = dataclasses.replace(context, env=another_users).sources


_SETTINGS = ("user.name=t", "user.email=t@example.invalid", "commit.gpgsign=false")


def git_in(root: Path) -> list[str]:
    """Give the beginning of a git command in a repository, whatever the user's settings are."""
    return ["git", "-C", str(root), *(word for setting in _SETTINGS for word in ("-c", setting))]


def test_a_release_knows_the_commit_it_is_made_from_and_whether_it_is_all_of_it(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    (root / "launcher").mkdir(parents=True)
    (root / "launcher/main.py").touch()
    context = build_context(tmp_path, root=root)
    assert context.commit == "", "it is no repository"
    git = git_in(root)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        assert context.commit == ""
        command.run([*git, *words])
    commit = command.run([*git, "rev-parse", "HEAD"]).stdout.strip()
    (root / "notes").touch()
    assert context.commit == commit, "what is not shipped does not matter"
    (root / "launcher/new.py").touch()
    assert context.commit == "", "a file that is not committed may be built"


@pytest.mark.parametrize(("before", "named"), [("as it was", True), ("another", False)])
def test_a_release_names_no_commit_when_somebody_went_on_with_the_tree_meanwhile(
    before: str,
    named: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
) -> None:
    root = tmp_path / "checkout"
    (root / "launcher").mkdir(parents=True)
    (root / "launcher/main.py").touch()
    git = git_in(root)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        command.run([*git, *words])
    context = build_context(tmp_path, root=root)
    known = context.commit if before == "as it was" else "a" * 40
    wanted = BuildOptions((), tmp_path, "", PATH, "", "", dry_run=False, as_json=False, verbose=False)
    deliver_results(wanted, (), context, known)
    assert read_release(tmp_path / "delivered").commit == (context.commit if named else "")


def test_a_source_file_that_becomes_a_program_or_a_link_changes_the_source_archive(tmp_path: Path) -> None:
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


def test_the_source_archive_holds_all_that_bottles_are_built_from() -> None:
    """The formula names it as what the bottles come from. What it holds must not be named by it: the formula is not."""
    assert all((ROOT / name).exists() for name in SHIPPED)
    assert "Formula" not in SHIPPED


def test_a_bottle_is_held_to_what_the_manifest_promises_of_its_target(tmp_path: Path) -> None:
    """Frozen with the pinned Python it may name no folder of this machine at all."""
    context = build_context(tmp_path)
    linux, mac = context.policy_of(LINUX), context.policy_of(MAC)
    assert (linux.glibc_floor, linux.macos_minimum, linux.size_budget) == ("2.31", "", 108_000_000)
    assert (mac.glibc_floor, mac.macos_minimum) == ("", "14.0")
    assert (linux.tolerated, linux.lenient) == ((), ())
    assert str(tmp_path / "build") in linux.forbidden


def test_a_bottle_names_neither_workspace_nor_cache_nor_source_tree(tmp_path: Path) -> None:
    """A tree given by ref is written into the workspace, and its repository lies elsewhere."""
    folders = {str(tmp_path / name) for name in ("build", "cache", "src")}
    shutil.copytree(ROOT / MANIFEST.checkout, tmp_path / "src")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        command.run(["git", *identity, "-C", tmp_path / "src", *words])
    for given in ("src", "src@HEAD"):
        assert folders <= set(build_context(tmp_path, checkout=str(tmp_path / given)).policy_of(LINUX).forbidden)


def test_what_a_python_of_this_machine_froze_is_for_this_machine(tmp_path: Path) -> None:
    """It may name that Python; that it needs a newer C library is a warning. Bottles made elsewhere get no leniency."""
    context = build_context(tmp_path, python="host")
    assert context.policy_of(LINUX).tolerated == (sys.base_prefix,)
    assert context.policy_of(LINUX).lenient == ("glibc-floor",)
    assert context.policy_of(Target("linux", "arm64")).tolerated == ()


def test_to_know_what_is_current_no_python_is_made(tmp_path: Path) -> None:
    """A dry run takes no minutes: the recipe says which Python freezes."""
    context = build_context(tmp_path)
    facts = context.inputs([LINUX], "bottle").parts["linux-amd64/launcher"]
    assert digest_of(read_recipe(ROOT / "packaging/python", LINUX)) in cast("tuple[str, ...]", facts["python"])
    assert not (tmp_path / "cache" / "freeze-python").exists()


def test_parts_for_macos_are_frozen_for_the_oldest_one_promised(tmp_path: Path) -> None:
    """Compilers and Python's own build read it from the environment; the user's setting is not among ours."""
    freezer = build_context(tmp_path, python="host").freezer_of(MAC)
    assert freezer.facts()["macos"] == "14.0"
    assert plain_environment(freezer.env)["MACOSX_DEPLOYMENT_TARGET"] == "14.0"
    assert "MACOSX_DEPLOYMENT_TARGET" not in build_environment({"MACOSX_DEPLOYMENT_TARGET": "26.0"})
    assert build_context(tmp_path).freezer_of(LINUX).facts()["macos"] == ""


def test_facts_of_what_is_obtained_need_no_freezing_and_no_mirror(tmp_path: Path) -> None:
    context = build_context(tmp_path)
    inputs = context.inputs([LINUX, MAC], "obtain")
    assert len(inputs.parts) == 6
    assert not {"freezer_of", "mirror"} & set(vars(context))
