"""The recipe of the frozen CPython: what holds for which target, and all that is wrong with it at once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.freeze.python.recipe import read_recipe, select
from stigmer_packaging.lib.errors import RecordError
from stigmer_packaging.lib.target import Target
from support.freezing import RECIPE, TARGETS

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")


@pytest.fixture(name="change")
def _change(tmp_path: Path) -> Callable[[str, str, str], Path]:
    folder = shutil.copytree(RECIPE, tmp_path / "python")

    def change(file: str, old: str, new: str) -> Path:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
        return folder

    return change


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_there_is_a_recipe_for_every_target(target: Target) -> None:
    recipe = read_recipe(RECIPE, target)
    assert recipe.target == target
    assert recipe.platform.floor == ("2.28" if target.system == "linux" else "11.0")
    assert {library.source for library in recipe.library} <= {*(s.name for s in recipe.source), "sqlite-amalgamation"}


def test_every_target_gets_the_same_sources_but_for_what_its_system_brings() -> None:
    packages = {target: {source.package for source in read_recipe(RECIPE, target).source} for target in TARGETS}
    assert packages[LINUX] - packages[MAC] == {"util-linux"}
    assert packages[MAC] - packages[LINUX] == set()


def test_no_two_targets_share_a_digest() -> None:
    assert len({read_recipe(RECIPE, target).digest for target in TARGETS}) == len(TARGETS)


def test_lists_for_a_target_are_appended_tables_merged_and_values_replaced() -> None:
    plain = {
        "words": ["a"],
        "table": {"x": "1", "on": {"linux": {"y": "2"}}},
        "value": "everywhere",
        "on": {"linux": {"words": ["b"]}, "amd64": {"words": ["c"]}, "darwin-arm64": {"value": "a mac"}},
    }
    assert select(plain, LINUX) == {"words": ["a", "b", "c"], "table": {"x": "1", "y": "2"}, "value": "everywhere"}
    assert select(plain, MAC) == {"words": ["a"], "table": {"x": "1"}, "value": "a mac"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("recipe.toml", "epoch = 1780000000", "epoch = 1780000001"),
        ("cpython.toml", 'working_tzset = "yes"', 'working_tzset = "no"'),
        ("libraries.toml", "-DSQLITE_SECURE_DELETE", "-DSQLITE_ENABLE_ICU"),
        ("tools/zig-cc", "-bundle)", "-bundles)"),
        ("macos/include/util.h", "#pragma once", "#pragma twice"),
    ],
)
def test_whatever_changes_the_build_changes_the_digest(
    change: Callable[[str, str, str], Path], file: str, old: str, new: str
) -> None:
    assert read_recipe(change(file, old, new), LINUX).digest != read_recipe(RECIPE, LINUX).digest


def test_an_answer_for_macos_leaves_the_digest_of_linux_alone(change: Callable[[str, str, str], Path]) -> None:
    folder = change("cpython.toml", 'func_dup3 = "no"', 'func_dup3 = "yes"')
    assert read_recipe(folder, LINUX).digest == read_recipe(RECIPE, LINUX).digest
    assert read_recipe(folder, MAC).digest != read_recipe(RECIPE, MAC).digest


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        (
            [
                ("recipe.toml", "93e583f243454e6e9e4588ca2c2662206ad961659863277afcdb96801647d640", ""),
                ("recipe.toml", 'floor = "2.28"', 'floor = "old"'),
                ("recipe.toml", 'prefix = "/python3.13"', 'prefix = "python3.13"'),
                ("libraries.toml", 'source = "zlib"', 'source = "zlib-ng"'),
            ],
            ["python3.13_3.13.5.orig.tar.xz has no sha256", "'old'", "python3.13 is not an absolute", "zlib-ng"],
        ),
        (
            [
                ("recipe.toml", 'licence = "Zlib"\n', ""),
                ("libraries.toml", 'soname = "libz.so.1"', 'so_name = "libz.so.1"'),
            ],
            ["licence", "so_name"],
        ),
        ([("cpython.toml", "cpython.on.darwin.answers", "cpython.on.macos.answers")], ["no target `on.macos`"]),
        ([("recipe.toml", "epoch =", "epoch :")], ["recipe of the frozen Python"]),
    ],
    ids=["values", "fields", "a target", "no recipe"],
)
def test_all_problems_of_a_kind_are_named_at_once(
    change: Callable[[str, str, str], Path], changes: list[tuple[str, str, str]], problems: list[str]
) -> None:
    (folder,) = {change(*each) for each in changes}
    with pytest.raises(RecordError) as raised:
        read_recipe(folder, LINUX)
    assert [problem for problem in problems if problem not in str(raised.value)] == []
    assert str(folder) in raised.value.remedy
