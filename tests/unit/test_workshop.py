"""What a release depends on is gathered once, and frozen services are tried as they will be run."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path

import pytest

from stigmer_packaging.errors import SourceError
from stigmer_packaging.manifest import load_manifest
from stigmer_packaging.manifest_records import Proof, Readiness
from stigmer_packaging.naming import Target
from stigmer_packaging.tools import command
from stigmer_packaging.tools.environment import build_environment
from stigmer_packaging.tools.probes import fill
from stigmer_packaging.tools.python import plain_environment
from stigmer_packaging.tools.rootrecipe import read_recipe
from stigmer_packaging.workshop import SHIPPED, Workshop
from stigmer_packaging.workspace import Workspace
from support.manifest_texts import PATH

ROOT = Path(__file__).parents[2]
MANIFEST = load_manifest(PATH, reference=True)
LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")
PARTS = {part.name: part for part in MANIFEST.components}


def workshop(folder: Path, *, root: Path = ROOT, checkout: str = "", python: str = "") -> Workshop:
    """Make a workshop with a workspace of its own."""
    workspace = Workspace(folder / "build", folder / "cache")
    tree = checkout or str(ROOT / MANIFEST.checkout)
    env = build_environment(os.environ)
    return Workshop(MANIFEST, workspace, root, LINUX, tree, env, 1, lambda _: None, python=python)


def test_a_template_is_filled_and_what_has_no_value_is_empty() -> None:
    assert fill("localhost:{port.server}", {"port.server": 7234}) == "localhost:7234"
    assert fill("{llm.api_key}", {}) == ""


def test_a_frozen_service_is_tried_in_its_own_environment_without_a_key(tmp_path: Path) -> None:
    probe = workshop(tmp_path).probe_of(PARTS["agent-runner"])
    assert probe.ready == "Worker ready"
    assert probe.environment["STIGMER_LLM_PROVIDER"] == "ollama"
    assert probe.environment["STIGMER_BACKEND_ENDPOINT"] == "localhost:{port.server}"
    assert probe.environment["SANDBOX_ROOT_DIR"] == "{home}/workspace"
    assert probe.environment["TEMPORAL_SERVICE_ADDRESS"] == "{temporal.address}"
    assert probe.temporal
    assert not {"STIGMER_LLM_API_KEY", "STIGMER_LLM_MODEL"} & set(probe.environment), "empty variables are not set"


def test_a_service_that_neither_needs_temporal_nor_is_ready_by_it_is_tried_without(tmp_path: Path) -> None:
    part = PARTS["agent-runner"]
    run = dataclasses.replace(
        part.run, needs=(), readiness=Readiness(9, (Proof("grpc", "server"),)), ports={"own": 7777}
    )
    probe = workshop(tmp_path).probe_of(dataclasses.replace(part, run=run))
    assert (probe.temporal, probe.port) == (False, "own")


def test_a_frozen_service_is_tried_with_paths_relative_to_its_home(tmp_path: Path) -> None:
    """It runs there; an empty text would make the path an absolute one."""
    part = PARTS["agent-runner"]
    run = dataclasses.replace(part.run, arguments=("--db", "{home.relative}/data/own.db"))
    assert workshop(tmp_path).probe_of(dataclasses.replace(part, run=run)).arguments == ("--db", "./data/own.db")


def test_only_what_comes_from_a_tree_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="temporal does not come from a source tree"):
        workshop(tmp_path).service_of(PARTS["temporal"])


def test_a_tree_without_the_service_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)there is no folder.*agent-runner: there is no folder"):
        workshop(tmp_path, checkout=str(tmp_path)).service_of(PARTS["agent-runner"])


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
    assert sorted(workshop(tmp_path, root=root).sources) == wanted
    command.run(["git", "-C", root, "init", "-q"])
    command.run(["git", "-C", root, "add", "LICENSE", "launcher/main.py"])
    assert sorted(workshop(tmp_path, root=root).sources) == wanted[:2]


def test_the_source_archive_holds_all_that_bottles_are_built_from() -> None:
    """The formula names it as what the bottles come from. What it holds must not be named by it: the formula is not."""
    assert all((ROOT / name).exists() for name in SHIPPED if name != "README.md")
    assert "Formula" not in SHIPPED


def test_a_bottle_is_held_to_what_the_manifest_promises_of_its_target(tmp_path: Path) -> None:
    """Frozen in the root it may name no folder of this machine at all."""
    shop = workshop(tmp_path)
    linux, mac = shop.policy_of(LINUX), shop.policy_of(MAC)
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
        assert folders <= set(workshop(tmp_path, checkout=str(tmp_path / given)).policy_of(LINUX).forbidden)


def test_what_a_python_of_this_machine_froze_is_for_this_machine(tmp_path: Path) -> None:
    """It may name that Python; that it needs a newer C library is a warning. Bottles made elsewhere get no leniency."""
    shop = workshop(tmp_path, python="host")
    assert shop.policy_of(LINUX).tolerated == (sys.base_prefix,)
    assert shop.policy_of(LINUX).lenient == ("glibc-floor",)
    assert shop.policy_of(MAC).tolerated == ()


def test_to_know_what_is_current_no_root_is_made(tmp_path: Path) -> None:
    """A dry run takes no minutes: the root's recipe says which Python freezes."""
    shop = workshop(tmp_path)
    facts = shop.inputs([LINUX], "bottle").parts["linux-amd64/launcher"]
    assert facts["python"] == (read_recipe(ROOT / "packaging/freeze-root", LINUX).digest,)
    assert not (tmp_path / "cache" / "freeze-root").exists()


def test_parts_for_macos_are_frozen_for_the_oldest_one_promised(tmp_path: Path) -> None:
    """Compilers and Python's own build read it from the environment; the user's setting is not among ours."""
    freezer = workshop(tmp_path, python="host").freezer_of(MAC)
    assert (freezer.macos, freezer.env["MACOSX_DEPLOYMENT_TARGET"]) == ("14.0", "14.0")
    assert freezer.facts()["macos"] == "14.0"
    assert plain_environment(freezer.env)["MACOSX_DEPLOYMENT_TARGET"] == "14.0"
    assert "MACOSX_DEPLOYMENT_TARGET" not in build_environment({"MACOSX_DEPLOYMENT_TARGET": "26.0"})
    assert workshop(tmp_path).freezer_of(LINUX).macos == ""


def test_facts_of_what_is_obtained_need_no_freezing_and_no_mirror(tmp_path: Path) -> None:
    shop = workshop(tmp_path)
    inputs = shop.inputs([LINUX, MAC], "obtain")
    assert len(inputs.parts) == 6
    assert not {"_freezers", "mirror"} & set(vars(shop))
