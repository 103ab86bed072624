"""What freezes is chosen by platform, or by hand; the pinned Python is made only when something is to be frozen."""

import sys
from pathlib import Path

import pytest

from stigmer_packaging.freeze.pyinstaller import FreezingPython
from stigmer_packaging.freeze.pythons import HOST, PINNED, choose_python, default_choice, open_maker, own_folders
from stigmer_packaging.lib.target import Target
from support.freezing import ENV
from support.freezing import ROOT as CHECKOUT

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")


def choose(choice: str, folder: Path, target: Target = LINUX, oldest: str = "2.31") -> FreezingPython:
    maker = open_maker(CHECKOUT, LINUX, folder / "cache", mirror="", env=ENV, report=lambda _: None)
    return choose_python(choice, target, lambda: maker, CHECKOUT, oldest={str(target): oldest}, env=ENV)


def test_linux_freezes_with_the_pinned_python_and_macos_with_its_own() -> None:
    assert (default_choice(LINUX), default_choice(MAC)) == (PINNED, HOST)


@pytest.mark.parametrize("other", [{"target": MAC}, {"oldest": "2.28"}])
def test_each_target_and_what_its_wheels_may_ask_for_is_another_python_and_choosing_makes_none(
    tmp_path: Path, other: dict[str, str]
) -> None:
    assert choose(PINNED, tmp_path).identity != choose(PINNED, tmp_path, **other).identity  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_python_is_chosen_by_its_path_and_it_alone_may_be_named_by_what_it_freezes(tmp_path: Path) -> None:
    """Through links, as a virtual environment's are."""
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert choose(str(link), tmp_path).identity == choose(HOST, tmp_path).identity
    assert own_folders(str(link)) == (str(Path(sys.executable).resolve().parents[1]),)
    assert own_folders(HOST) == (sys.base_prefix,)
    assert own_folders(PINNED) == ()
