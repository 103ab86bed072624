"""What freezes is chosen by platform, or by hand; a root is made only when something is to be frozen in it."""

import sys
from pathlib import Path

import pytest

from stigmer_packaging.errors import RecordError
from stigmer_packaging.naming import Target
from stigmer_packaging.pythons import HOST, ROOT, choose_python, default_choice, own_folders
from stigmer_packaging.tools.python import FreezingPython
from stigmer_packaging.workspace import Workspace
from support.freeze_workshop import ENV
from support.freeze_workshop import ROOT as CHECKOUT

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")


def choose(choice: str, folder: Path, target: Target = LINUX) -> FreezingPython:
    """Choose in a checkout of ours, with a cache that is empty."""
    workspace = Workspace(folder / "build", folder / "cache")
    return choose_python(choice, target, CHECKOUT, workspace, env=ENV, report=lambda _: None)


def test_linux_freezes_in_the_root_and_macos_with_its_own_python() -> None:
    assert (default_choice(LINUX), default_choice(MAC)) == (ROOT, HOST)


def test_each_target_has_a_root_of_its_own_and_choosing_makes_none(tmp_path: Path) -> None:
    chosen = {choose(ROOT, tmp_path, Target("linux", cpu)).identity for cpu in ("amd64", "arm64")}
    assert len(chosen) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_platform_without_a_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no freeze root for darwin-arm64"):
        choose(ROOT, tmp_path, MAC)


def test_a_python_is_chosen_by_its_path_and_it_alone_may_be_named_by_what_it_freezes(tmp_path: Path) -> None:
    """Through links, as a virtual environment's are."""
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert choose(str(link), tmp_path).identity == choose(HOST, tmp_path).identity
    assert own_folders(str(link)) == (str(Path(sys.executable).resolve().parents[1]),)
    assert own_folders(HOST) == (sys.base_prefix,)
    assert own_folders(ROOT) == ()
