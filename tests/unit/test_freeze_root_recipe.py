"""The recipe is everything a freeze root is made of: another recipe is another root."""

import re
import shutil
from pathlib import Path

import pytest

from stigmer_packaging.errors import RecordError
from stigmer_packaging.naming import Target
from stigmer_packaging.tools import rootbuild
from stigmer_packaging.tools.rootrecipe import RECORDED, lock_name, read_recipe, read_settings

OURS = Path(__file__).parents[2] / "packaging" / "freeze-root"
AMD64 = Target("linux", "amd64")
TARGETS = (AMD64, Target("linux", "arm64"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a copy of our recipe."""
    shutil.copytree(OURS, tmp_path / "freeze-root")
    return tmp_path / "freeze-root"


def replace_in(file: Path, pattern: str, new: str) -> None:
    """Change one place of a file; fail when it is not there."""
    text, count = re.subn(pattern, new, file.read_text(encoding="utf-8"), count=1)
    assert count == 1
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "pattern", "new"),
    [
        ("recipe.toml", '= "[0-9a-f]{64}"', f'= "{"0" * 64}"'),
        ("recipe.toml", '"CVE-2025-12084.patch", ', ""),
        ("recipe.toml", "epoch = 1", "epoch = 2"),
        ("recipe.toml", 'glibc = "2.31"', 'glibc = "2.28"'),
        ("recipe.toml", '"usr/bin/awk" = "mawk"', '"usr/bin/awk" = "gawk"'),
        ("openssl.sh", "no-comp", "enable-comp"),
        ("packages-linux-amd64.lock", "\n[0-9a-f]{64}", "\n" + "0" * 64),
    ],
)
def test_any_changed_pin_step_or_setting_makes_another_root(folder: Path, file: str, pattern: str, new: str) -> None:
    before = read_recipe(folder, AMD64).digest
    replace_in(folder / file, pattern, new)
    assert read_recipe(folder, AMD64).digest != before


def test_a_comment_makes_no_other_root(folder: Path) -> None:
    before = read_recipe(folder, AMD64).digest
    for name in ("recipe.toml", lock_name(AMD64)):
        replace_in(folder / name, r"\A", "# a word more\n")
    assert read_recipe(folder, AMD64).digest == before


def test_what_a_root_was_seen_to_be_makes_no_other_root(folder: Path) -> None:
    """It is read by the recipe's name, so that a changed recipe has none until somebody writes it down."""
    before = read_recipe(folder, AMD64)
    (folder / RECORDED).write_text(f"{'1' * 64}  {before.name}\n{'2' * 64}  another\n", encoding="ascii")
    after = read_recipe(folder, AMD64)
    assert (after.digest, after.recorded) == (before.digest, "1" * 64)
    replace_in(folder / "recipe.toml", "epoch = 1", "epoch = 2")
    assert read_recipe(folder, AMD64).recorded == ""


def test_the_root_of_our_recipe_is_recorded() -> None:
    """Make it, and write its sha256 and name into roots.sha256: see the README beside it."""
    assert read_recipe(OURS, AMD64).recorded


def test_every_target_has_a_root_of_its_own() -> None:
    assert len({read_recipe(OURS, target).digest for target in TARGETS}) == len(TARGETS)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_our_recipe_pins_every_file_and_names_every_root(target: Target) -> None:
    recipe = read_recipe(OURS, target)
    pins = [sha256 for source in recipe.settings.source for sha256 in source.files.values()]
    assert all(re.fullmatch("[0-9a-f]{64}", pin) for pin in pins)
    for root, names in recipe.settings.packages.items():
        locked = {package.path.rsplit("/", 1)[-1].split("_")[0] for package in recipe.packages if root in package.roots}
        assert set(names) <= locked
    cross = {rootbuild.CROSS} if target.architecture == "arm64" else set()
    assert {root for package in recipe.packages for root in package.roots} == {"freeze", "build"} | cross


def test_the_compilers_of_an_emulated_build_are_the_machines_own_programs_and_in_no_root_that_is_kept() -> None:
    packages = [each for each in read_recipe(OURS, Target("linux", "arm64")).packages if rootbuild.CROSS in each.roots]
    assert {package.path.rsplit("_", 1)[-1] for package in packages} == {"amd64.deb", "all.deb"}
    assert not any("freeze" in package.roots for package in packages if package.path.endswith("_amd64.deb"))


def test_our_recipe_takes_every_security_patch_that_it_names_once() -> None:
    for source in read_settings(OURS).source:
        assert source.patches or source.name == "expat"
        assert len(set(source.patches)) == len(source.patches)
        assert [path.rsplit(".", 2)[-2:] for path in source.files][1] == ["tar", "xz"]


def test_there_is_no_root_for_another_system() -> None:
    with pytest.raises(RecordError) as caught:
        read_recipe(OURS, Target("darwin", "arm64"))
    assert "another Python" in caught.value.remedy


@pytest.mark.parametrize(
    ("pattern", "new"), [("(?m)^epoch", "epok"), ("= 1780000000", '= "now"'), (r"\[links\]", "[links")]
)
def test_a_recipe_with_a_mistake_is_refused(folder: Path, pattern: str, new: str) -> None:
    replace_in(folder / "recipe.toml", pattern, new)
    with pytest.raises(RecordError, match="is not a recipe"):
        read_recipe(folder, AMD64)


def test_a_source_without_its_script_is_refused(folder: Path) -> None:
    (folder / "sqlite.sh").unlink()
    with pytest.raises(RecordError):
        read_recipe(folder, AMD64)
