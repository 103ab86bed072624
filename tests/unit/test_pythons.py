"""The Python that freezes is chosen by platform or by the user; the pinned one is built only when it is needed."""

import sys
from pathlib import Path

import pytest

from stigmer_packaging.freeze.pyinstaller import FreezingPython
from stigmer_packaging.freeze.pythons import (
    HOST,
    PINNED,
    choose_python,
    default_choice,
    own_folders,
    read_build_settings,
)
from stigmer_packaging.lib.target import Target
from support.freezing import ENV
from support.freezing import ROOT as CHECKOUT

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")


def choose(choice: str, folder: Path, target: Target = LINUX, oldest: str = "2.31") -> FreezingPython:
    settings = read_build_settings(CHECKOUT, LINUX, folder / "cache", mirror="", env=ENV, report=lambda _: None)
    return choose_python(choice, target, lambda: settings, CHECKOUT, oldest={str(target): oldest}, env=ENV)


def test_linux_freezes_with_the_pinned_python_and_macos_with_its_own() -> None:
    assert (default_choice(LINUX), default_choice(MAC)) == (PINNED, HOST)


@pytest.mark.parametrize("other", [{"target": MAC}, {"oldest": "2.28"}])
def test_the_choice_depends_on_the_target_and_the_oldest_system_and_builds_nothing(
    tmp_path: Path, other: dict[str, str]
) -> None:
    assert choose(PINNED, tmp_path).identity != choose(PINNED, tmp_path, **other).identity  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_python_can_be_chosen_by_path_and_its_own_folders_are_known(tmp_path: Path) -> None:
    """Symlinks are followed, as a virtual environment has them."""
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert choose(str(link), tmp_path).identity == choose(HOST, tmp_path).identity
    assert own_folders(str(link)) == (str(Path(sys.executable).resolve().parents[1]),)
    assert own_folders(HOST) == (sys.base_prefix,)
    assert own_folders(PINNED) == ()
