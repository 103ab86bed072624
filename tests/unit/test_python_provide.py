"""The frozen CPython in the cache: built once, completely or not at all. The build is a fake that writes three files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_packaging.freeze.gcc_runtime import Runtime
from stigmer_packaging.freeze.python.provide import BuildSettings, provide_compiler, provide_python, record_tree
from stigmer_packaging.freeze.python.recipe import read_recipe
from stigmer_packaging.freeze.python.tree import PythonTree
from stigmer_packaging.freeze.pythons import TreePackages
from stigmer_packaging.lib.errors import GateError, MissingToolError
from stigmer_packaging.lib.target import Target
from stigmer_packaging.licensing.native import Package
from support.freezing import RECIPE, no_archives
from support.native_code import place

LINUX, MAC = Target("linux", "amd64"), Target("darwin", "arm64")


def fake_build(_recipe: object, _maker: object, work: Path) -> None:
    """Write an interpreter, a library and a licence, as a build does."""
    for name in ("bin/python3.13", "lib/libpython3.13.dylib", "share/doc/zlib/copyright"):
        place(work / "outcome" / name, name.encode())
    record_tree(work / "outcome", "11.0", ["zlib"], work / "tree")


def failing_build(_recipe: object, _maker: object, work: Path) -> None:
    """Fail like a build that is almost complete."""
    (work / "tree" / "prefix").mkdir(parents=True)
    raise GateError("planted")


def machine(cache: Path, host: Target = LINUX) -> BuildSettings:
    return BuildSettings(read_recipe(RECIPE, host), cache, no_archives, {}, 1, lambda _: None)


def provide(cache: Path, make: Callable[..., None] = fake_build) -> PythonTree:
    return provide_python(read_recipe(RECIPE, MAC), machine(cache), make=make)


def test_a_python_in_the_cache_is_not_built_again(tmp_path: Path) -> None:
    assert provide(tmp_path) == provide(tmp_path, failing_build)


def test_a_tree_has_the_facts_that_freezing_needs(tmp_path: Path) -> None:
    tree = provide(tmp_path)
    assert (tree.version, tree.floor, tree.builtins, tree.target) == ("3.13.5", "11.0", ("zlib",), MAC)
    assert tree.executable.is_file()
    assert tree.library.is_file()


def test_a_damaged_python_is_rebuilt(tmp_path: Path) -> None:
    provide(tmp_path).executable.write_text("touched", encoding="utf-8")
    assert provide(tmp_path).executable.read_text(encoding="utf-8") == "bin/python3.13"


@pytest.mark.parametrize("record", [b"", bytes(9), b"{}", b"\xff"])
def test_a_python_with_a_damaged_record_is_rebuilt(record: bytes, tmp_path: Path) -> None:
    """A power failure may leave such files."""
    (provide(tmp_path).prefix.parent / "tree.json").write_bytes(record)
    assert provide(tmp_path).builtins == ("zlib",)


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(GateError):
        provide(tmp_path, failing_build)
    assert [path.name for path in (tmp_path / "freeze-python").iterdir() if path.suffix != ".lock"] == []


def test_the_libraries_of_a_tree_have_a_version_a_licence_and_the_modules_they_are_in(tmp_path: Path) -> None:
    packages = TreePackages(provide(tmp_path), Runtime(tmp_path, {}))
    found = packages.find("libz.so.1", ("zlib1g", "zlib"))
    assert found == Package(
        "1:1.3.dfsg+really1.3.1-1", "pkg:deb/debian/zlib@1:1.3.dfsg%2Breally1.3.1-1", ("share/doc/zlib/copyright\n",)
    )
    (credit,) = packages.linked_into({"zlib"})
    assert (credit.name, credit.licence, credit.texts) == ("zlib", "Zlib", ("share/doc/zlib/copyright\n",))
    assert packages.find("libother.so.1", ("other",)) is None


def test_a_machine_without_a_pinned_compiler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingToolError, match="no ziglang is pinned for darwin-arm64"):
        provide_compiler(machine(tmp_path, MAC))
